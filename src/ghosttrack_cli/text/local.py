"""Text in local files: one of them or a folder of them, packed or not, in any encoding."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.text.cursor import refuse_text
from ghosttrack_cli.text.fingerprint import Fingerprint, fingerprint
from ghosttrack_cli.text.first_look import FirstLook, look_at
from ghosttrack_cli.text.folder import find_texts
from ghosttrack_cli.text.formats import TextFile
from ghosttrack_cli.text.position import checked_count, checked_position, not_a_position
from ghosttrack_cli.text.usable_texts import Keeper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ghosttrack_cli.text.documents import JSON, Document


class LocalCorpus:
    """The documents of one file, or of all files of the known formats under a folder.

    Files come in the order of their relative names' bytes; hidden files and folders are left out.
    `encoding` is that of text files that are not UTF-8, UTF-16 or UTF-32; `flag` named the path.

    Raises:
        CorpusError: nothing there, or no file of a known format.
    """

    def __init__(
        self,
        path: Path,
        *,
        column: str = "text",
        encoding: str | None = None,
        min_characters: int = 100,
        flag: str = "--corpus",
    ) -> None:
        self.path = path
        self.column = column
        self.encoding = encoding
        self.min_characters = min_characters
        self.flag = flag
        self._found = find_texts(path, flag)
        self.root, self.names = self._found.root, self._found.names

    @property
    def name(self) -> str:
        """The name of the folder or file."""
        return self.path.resolve().name

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Of the files as they are when first asked for."""
        return fingerprint(self.root, self.names)

    def identity(self) -> dict[str, JSON]:
        """What must be equal for a run to be resumed: what is in the files, and how it is read.

        The place and the name of the folder or file do not count: a corpus may move.
        """
        return {
            "kind": "files",
            "files": len(self.names),
            "bytes": self.fingerprint.bytes,
            "sha256": self.fingerprint.sha256,
            "column": self.column,
            "encoding": self.encoding,
            "min_characters": self.min_characters,
        }

    def notices(self) -> list[str]:
        """What in the folder is not read."""
        return self._found.sentences()

    def skipped_files(self) -> dict[str, int]:
        """The same as numbers."""
        return self._found.counts()

    def check(self) -> FirstLook:
        """Read small texts whole and of large ones every beginning, once."""
        return self._first_look

    @cached_property
    def _first_look(self) -> FirstLook:
        return look_at(self)

    def documents(self, state: JSON | None = None) -> LocalStream:
        """The documents from `state` on, or from the beginning."""
        return LocalStream(self, state)


_START = {"file": 0, "place": 0, **Keeper("", 0).state()}


def _checked(state: JSON, count: int) -> dict[str, Any]:
    """A position in `count` files.

    Raises:
        CorruptionError: there is no such position.
    """
    what, counts = "a folder of texts", dict(state) if isinstance(state, dict) else state
    sha256 = counts.pop("sha256", None) if isinstance(counts, dict) else None
    checked_position(counts, what, _START)
    checked_count(counts["file"], what, count)
    if sha256 is not None and not isinstance(sha256, str):
        raise not_a_position(state, what)
    return {**counts, "sha256": sha256}


class LocalStream:
    """Reads file after file; its place is a file, a place in it, and the documents so far.

    Of a corpus that is too large to be hashed, the state has a hash of all texts read so far.
    Whoever goes on from such a state reads them again first, which takes much less time than
    running them through a model did, and ends with a ConflictError if they are others.
    """

    def __init__(self, corpus: LocalCorpus, state: JSON | None) -> None:
        start: JSON = _START if state is None else _checked(state, len(corpus.names))
        self._corpus = corpus
        self._file: int = start["file"]
        self._place: int = start["place"]
        self._keeper = Keeper(str(corpus.path), corpus.min_characters, start, flag=corpus.flag)
        self._read_so_far = hashlib.sha256() if corpus.fingerprint.sampled else None
        self._expected: str | None = start.get("sha256")
        self._documents = self._read()

    def __iter__(self) -> LocalStream:
        return self

    def __next__(self) -> Document:
        return next(self._documents)

    def _read(self) -> Iterator[Document]:
        if self._read_so_far is not None and (self._file or self._place):
            self._compare()
        while self._file < len(self._corpus.names):
            yield from self._read_file()
            self._file, self._place = self._file + 1, 0
        self._keeper.require_any()

    def _read_file(self) -> Iterator[Document]:
        first = not self._place
        seen = self._keeper.seen
        for text, place in self._texts(self._file, self._place):
            self._place = place
            self._note(text)
            document = self._keeper.keep(text)
            if document is not None:
                yield document
        if first and self._keeper.seen == seen:
            self._keeper.empty_file()

    def _texts(self, file: int, place: int) -> Iterator[tuple[str | None, int]]:
        corpus = self._corpus
        path = corpus.root / corpus.names[file]
        try:
            if path.stat().st_size:
                yield from TextFile(path, corpus.column, corpus.encoding).read(place)
        except OSError as error:
            raise CorpusError(f"cannot read the text: {path}: {error.strerror or error}") from error

    def _compare(self) -> None:
        """Read again what was read before this state."""
        for file in range(self._file + 1):
            for text, place in self._texts(file, 0):
                if file == self._file and place > self._place:
                    break
                self._note(text)
        found = self._read_so_far and self._read_so_far.hexdigest()
        if self._expected is not None and found != self._expected:
            refuse_text({"corpus.text read so far": (self._expected, found)})

    def _note(self, text: str | None) -> None:
        if self._read_so_far is not None:
            data = (text or "").encode("utf-8", "surrogatepass")
            self._read_so_far.update(len(data).to_bytes(8, "little") + data)

    def state(self) -> JSON:
        """Where the stream is."""
        place: dict[str, JSON] = {"file": self._file, "place": self._place, **self._keeper.state()}
        if self._read_so_far is not None:
            place["sha256"] = self._read_so_far.hexdigest()
        return place
