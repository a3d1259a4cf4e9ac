"""What can be seen of local texts before a run: small corpora whole, of others every beginning."""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.quantities import counted
from ghosttrack_cli.text.encodings import detect_encoding
from ghosttrack_cli.text.formats import TextFile, kind_of, open_parquet
from ghosttrack_cli.text.opening import BLOCK, open_utf8
from ghosttrack_cli.text.usable_texts import LeftOut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.text.local import LocalCorpus

WHOLE_CHARACTERS = 2**25
"""Up to this many are read, about a second's work; of all files after that the beginning."""


@dataclass(frozen=True)
class FirstLook:
    """How many documents there are and what is left out; `whole` if all of the text was read."""

    documents: int
    left_out: LeftOut
    whole: bool
    skipped_files: Mapping[str, int] = field(default_factory=dict)
    bytes: int = field(default=0, compare=False)
    """Of the documents that were read, as UTF-8."""

    def most_tokens(self, context_length: int) -> int | None:
        """About as many tokens as the text has at most; None if not all of it was read.

        A token has a byte or more; a document has one more at its end and one at its beginning,
        and each window begins with one that is no text.
        """
        if not self.whole:
            return None
        most = self.bytes + 2 * self.documents
        return most + -(-most // max(1, context_length - 1))

    def counts(self) -> dict[str, int | bool]:
        """All of it by name, as a store has it of its text."""
        counts = {"documents": self.documents, **self.left_out.counts(), **self.skipped_files}
        return {"whole": self.whole, **counts}

    def in_words(self) -> str:
        """The number of documents."""
        return f"{'' if self.whole else 'at least '}{counted(self.documents, 'document')}"


def look_at(corpus: LocalCorpus) -> FirstLook:
    """Read about a second's worth in the order of a run, then every beginning.

    Raises:
        CorpusError: a file that a run would refuse when it came to it, or no text at all.
    """
    stream = corpus.documents()
    documents = characters = size = 0
    for document in stream:
        documents += 1
        size += len(document.text.encode())
        characters += len(document.text)
        if characters > WHOLE_CHARACTERS:
            break
    whole = characters <= WHOLE_CHARACTERS
    state = stream.state()
    for name in () if whole else corpus.names[state["file"] :]:
        path = corpus.root / name
        try:
            if path.stat().st_size:
                _check_beginning(TextFile(path, corpus.column, corpus.encoding))
        except OSError as error:
            raise CorpusError(f"cannot read the text: {path}: {error.strerror or error}") from error
    return FirstLook(documents, LeftOut.of(state), whole, corpus.skipped_files(), size)


def _check_beginning(file: TextFile) -> None:
    """Refuse what the footer of Parquet, the first text of a table or the first block tells."""
    kind = kind_of(file.path)
    if kind == ".parquet":
        with open_parquet(file):
            return
    if kind == ".txt":
        with open_utf8(file.path, file.encoding) as stream:
            stream.read(BLOCK)
        return
    next(file.read(), None)
    if kind in {".jsonl", ".ndjson"} and file.path.suffix.lower() == kind and not file.encoding:
        _check_last_line(file)


def _check_last_line(file: TextFile) -> None:
    """Refuse JSON lines in UTF-8 whose last one is cut, as a broken download leaves it."""
    with file.path.open("rb") as opened:
        head = opened.read(BLOCK)
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - BLOCK))
        _, newline, last = opened.read().rpartition(b"\n")
    if newline and last and detect_encoding(head) == "utf-8":
        mark = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        next(file.read(size - len(last) - mark), None)
