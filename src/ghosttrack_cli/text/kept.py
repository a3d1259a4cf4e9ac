"""Which texts become documents, and what is said when none does."""

from __future__ import annotations

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.text.documents import Document


class Keeper:
    """Numbers the texts worth keeping: `min_characters` long and not blank.

    `count` documents were kept before. `source` names the corpus in the error.
    """

    def __init__(self, source: str, min_characters: int, count: int = 0) -> None:
        self.source = source
        self.min_characters = min_characters
        self.count = count
        self._seen = 0

    def keep(self, text: str) -> Document | None:
        """The document of `text`, or None if it is too short or blank."""
        self._seen += 1
        text = encodable(text)
        if len(text) < self.min_characters or not text or text.isspace():
            return None
        self.count += 1
        return Document(self.count - 1, text)

    def require_any(self) -> None:
        """Call at the end of the corpus.

        Raises:
            CorpusError: not one document was kept.
        """
        if self.count:
            return
        if not self._seen:
            raise CorpusError(f"no text in the corpus: {self.source}")
        raise CorpusError(
            f"no usable text in the corpus: all {self._seen:,} texts are blank or shorter than"
            f" {self.min_characters} characters: {self.source}",
            hint="lower [corpus] min_characters",
        )


def encodable(text: str) -> str:
    """`text` with lone surrogates replaced by U+FFFD and surrogate pairs joined."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
