"""Which texts become documents, how many do not and why, and what is said when none does."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.quantities import counted
from ghosttrack_cli.text.documents import Document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ghosttrack_cli.text.documents import JSON


OF_TEXTS = ("short", "blank", "replaced", "empty_files")
"""What the documents of any corpus are counted by."""


@dataclass(frozen=True)
class LeftOut:
    """What became no document, or another one than the file says.

    `short` texts have fewer than `min_characters` characters, `blank` ones are null or white
    space; `replaced` documents held half a surrogate pair, which is no character, and have U+FFFD
    there; `empty_files` held no text at all. Of TruthfulQA's questions, `unanswered` ones lack the
    right or a wrong answer, and `duplicates` are equal to another one.
    """

    short: int = 0
    blank: int = 0
    replaced: int = 0
    empty_files: int = 0
    unanswered: int = 0
    duplicates: int = 0

    @classmethod
    def of(cls, state: JSON) -> LeftOut:
        """As the state of a document stream has it."""
        known = state if isinstance(state, dict) else {}
        return cls(**{field.name: known.get(field.name, 0) for field in fields(cls)})

    @property
    def dropped(self) -> int:
        """Texts that became no document."""
        return self.short + self.blank

    def counts(self) -> dict[str, int]:
        """By name; what only questions can be is there if there is any."""
        return {name: n for name, n in asdict(self).items() if n or name in OF_TEXTS}

    def sentences(
        self, min_characters: int | None = None, setting: str = "--min-characters"
    ) -> list[str]:
        """What a person has to know; with the number of characters where it is known.

        `setting` is what the caller sets that number with.
        """
        fewer = "" if min_characters is None else f" of fewer than {min_characters:,} characters"
        told = {
            f"skipped: {counted(self.short, 'short text')}{fewer} ({setting})": self.short,
            f"skipped: {counted(self.blank, 'blank text')}": self.blank,
            f"skipped: {counted(self.empty_files, 'empty file')}": self.empty_files,
            f"replaced by U+FFFD: unpaired surrogates in {counted(self.replaced, 'text')}": (
                self.replaced
            ),
            f"skipped: {counted(self.unanswered, 'question')} without a right or a wrong answer": (
                self.unanswered
            ),
            f"skipped: {counted(self.duplicates, 'duplicate question')}": self.duplicates,
        }
        return [sentence for sentence, count in told.items() if count]


class Keeper:
    """Numbers the texts worth keeping: `min_characters` long and not blank.

    `source` names the corpus in the error and `flag` chose it; `state` is that of the stream to go
    on with.
    """

    def __init__(
        self, source: str, min_characters: int, state: JSON = None, *, flag: str = "--corpus"
    ) -> None:
        self.source = source
        self._other_text = f"{flag} reads other text"
        self.min_characters = min_characters
        self.count: int = (state or {}).get("document", 0)
        self.left_out = LeftOut.of(state)

    @property
    def seen(self) -> int:
        """All texts so far, kept or not."""
        return self.count + self.left_out.dropped

    def keep(self, text: str | None) -> Document | None:
        """The document of `text`, or None if it is too short or blank."""
        if not text or text.isspace():
            self._count("blank")
            return None
        whole = encodable(text)
        if len(whole) < self.min_characters:
            self._count("short")
            return None
        if is_replaced(text):
            self._count("replaced")
        self.count += 1
        return Document(self.count - 1, whole)

    def empty_file(self) -> None:
        """Note a file that holds no text at all."""
        self._count("empty_files")

    def skip_short(self, count: int) -> None:
        """Note texts that are known to be too short."""
        self._count("short", count)

    def _count(self, name: str, more: int = 1) -> None:
        self.left_out = replace(self.left_out, **{name: getattr(self.left_out, name) + more})

    def state(self) -> dict[str, int]:
        """Its part of the state of a stream: documents, and what was left out."""
        return {"document": self.count, **self.left_out.counts()}

    def require_any(self) -> None:
        """Call at the end of the corpus.

        Raises:
            CorpusError: not one document was kept.
        """
        if self.count:
            return
        if not self.seen:
            raise CorpusError(f"no text in the corpus: {self.source}", hint=self._other_text)
        hint = "allow shorter texts, as in --min-characters 1"
        raise CorpusError(
            f"no usable text: all {self.seen:,} texts are blank or shorter than"
            f" {self.min_characters} characters: {self.source}",
            hint=hint if self.left_out.short else self._other_text,
        )


def warn(sentences: Iterable[str]) -> None:
    """Tell those who call from Python, where there is no terminal to tell it to."""
    for sentence in sentences:
        warnings.warn(sentence, stacklevel=3)


def is_replaced(text: str) -> bool:
    """Whether `encodable` has to replace a part of `text`."""
    return encodable(text).count("\ufffd") > text.count("\ufffd")


def encodable(text: str) -> str:
    """`text` with lone surrogates replaced by U+FFFD and surrogate pairs joined."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
