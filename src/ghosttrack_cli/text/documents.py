"""What a corpus is: documents in a fixed order, and a stream that knows where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from ghosttrack_cli.text.first_look import FirstLook

JSON: TypeAlias = Any
"""A value that `json` writes and reads back unchanged."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text of a corpus; `id` counts the documents that were kept: 0, 1, 2 and so on."""

    id: int
    text: str


class DocumentStream(Protocol):
    """An iterator over documents that can be left and taken up again."""

    def __iter__(self) -> DocumentStream: ...

    def __next__(self) -> Document: ...

    def state(self) -> JSON:
        """Where the stream is: `Corpus.documents(state)` yields what this stream yields next."""
        ...


class ReadsAll:
    """A corpus that reads everything it has, and of which nothing can be told before that."""

    def notices(self) -> list[str]:
        """Nothing is left out."""
        return []

    def skipped_files(self) -> dict[str, int]:
        """No file is."""
        return {}

    def check(self) -> None:
        """Nothing is refused beforehand."""


class Corpus(Protocol):
    """Text in a fixed order."""

    @property
    def name(self) -> str:
        """What people call it: a data set's id, or the name of a file or folder."""
        ...

    @property
    def min_characters(self) -> int:
        """Texts of fewer are left out."""
        ...

    def identity(self) -> dict[str, JSON]:
        """What must be equal for a run to be resumed: kind, source, revision, file hashes."""
        ...

    def notices(self) -> list[str]:
        """What lies beside the text and is not read, in sentences."""
        ...

    def skipped_files(self) -> dict[str, int]:
        """The same as numbers, by reason; what there is none of is not named."""
        ...

    def check(self) -> FirstLook | None:
        """Refuse what can be told of the text in about a second; what was seen of local text.

        Raises:
            CorpusError: a file that cannot be read, or no text in any.
        """
        ...

    def documents(self, state: JSON | None = None) -> DocumentStream:
        """The documents from `state` on, or from the beginning."""
        ...
