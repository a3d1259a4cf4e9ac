"""Text in local files: .txt, .jsonl, .parquet and .csv, one of them or a folder of them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.text.formats import FORMATS
from ghosttrack_cli.text.kept import Keeper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ghosttrack_cli.text.documents import JSON, Document

SAMPLE_BYTES = 65_536


class LocalCorpus:
    """The documents of one file, or of all files of the known formats under a folder.

    Files come in the order of their relative names' bytes; hidden files and folders are left out.

    Raises:
        CorpusError: nothing there, or no file of a known format.
    """

    def __init__(self, path: Path, *, column: str = "text", min_characters: int = 100) -> None:
        self.path = path
        self.column = column
        self.min_characters = min_characters
        self.root, self.names = _find(path)

    def identity(self) -> dict[str, JSON]:
        """What must be equal for a run to be resumed: names, sizes, beginnings and ends of files.

        The folder's own place does not count, so that a corpus may move.
        """
        digest = hashlib.sha256()
        for name in self.names:
            digest.update(os.fsencode(name.as_posix()) + b"\0")
            digest.update(_fingerprint(self.root / name))
        return {
            "kind": "files",
            "files": len(self.names),
            "sha256": digest.hexdigest(),
            "column": self.column,
            "min_characters": self.min_characters,
        }

    def documents(self, state: JSON | None = None) -> LocalStream:
        """The documents from `state` on, or from the beginning."""
        return LocalStream(self, state)


class LocalStream:
    """Reads file after file; its place is a file, a place in it, and the documents so far."""

    def __init__(self, corpus: LocalCorpus, state: JSON | None) -> None:
        start = state or {"file": 0, "place": 0, "document": 0}
        self._corpus = corpus
        self._file: int = start["file"]
        self._place: int = start["place"]
        self._keeper = Keeper(str(corpus.path), corpus.min_characters, start["document"])
        self._documents = self._read()

    def __iter__(self) -> LocalStream:
        return self

    def __next__(self) -> Document:
        return next(self._documents)

    def _read(self) -> Iterator[Document]:
        while self._file < len(self._corpus.names):
            yield from self._read_file(self._corpus.root / self._corpus.names[self._file])
            self._file, self._place = self._file + 1, 0
        self._keeper.require_any()

    def _read_file(self, path: Path) -> Iterator[Document]:
        read = FORMATS[path.suffix.lower()]
        try:
            for text, place in read(path, self._corpus.column, self._place):
                self._place = place
                document = self._keeper.keep(text)
                if document is not None:
                    yield document
        except OSError as error:
            raise CorpusError(f"cannot read the text: {path}: {error.strerror or error}") from error

    def state(self) -> JSON:
        """Where the stream is."""
        return {"file": self._file, "place": self._place, "document": self._keeper.count}


def _find(path: Path) -> tuple[Path, list[Path]]:
    try:
        if path.is_dir():
            root, names = path, sorted(_walk(path), key=os.fsencode)
        else:
            known = path.suffix.lower() in FORMATS and path.is_file()
            root, names = path.parent, [Path(path.name)] if known else []
    except (OSError, ValueError) as error:
        raise CorpusError(f"cannot read the corpus: {path}: {error}") from error
    if not names:
        raise CorpusError(
            f"no text there: {path}",
            hint=f"--corpus takes {', '.join(FORMATS)} files or a folder of them",
        )
    return root, names


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            if not name.startswith(".") and path.suffix.lower() in FORMATS and path.is_file():
                yield path.relative_to(folder)


def _raise(error: OSError) -> None:
    raise error


def _fingerprint(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            begin = file.read(SAMPLE_BYTES)
            file.seek(max(0, size - SAMPLE_BYTES))
            sample = begin + file.read(SAMPLE_BYTES)
    except OSError as error:
        raise CorpusError(f"cannot read the text: {path}: {error.strerror or error}") from error
    return size.to_bytes(8, "little") + hashlib.sha256(sample).digest()
