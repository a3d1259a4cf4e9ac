"""The text formats that a corpus of files can have: each yields (text, place of the next)."""

from __future__ import annotations

import codecs
import itertools
import json
import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.text import separated
from ghosttrack_cli.text.opening import COMPRESSED, open_utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Texts = Iterator[tuple[str | None, int]]
    Format = Callable[["TextFile", int], Texts]

MAX_DOCUMENT_BYTES = 2**28
PARQUET_ROWS = 256
COLUMN_HINT = "name the column that holds the text: --column NAME"
LINES_HINT = "write one JSON object per line: .jsonl"


@dataclass(frozen=True)
class TextFile:
    """A file and how to read it: the column of its text, and its encoding if that is not Unicode.

    A format yields None for a text that is null.
    """

    path: Path
    column: str = "text"
    encoding: str | None = None

    def read(self, place: int = 0) -> Texts:
        """The texts from `place` on, each with the place of the next."""
        kind = kind_of(self.path)
        assert kind is not None
        return FORMATS[kind](self, place)


def kind_of(path: Path) -> str | None:
    """The ending that says what a file holds, that of its compression left out; None if unknown."""
    unpacked = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    kind = unpacked.suffix.lower()
    packed_parquet = kind == ".parquet" and unpacked != path
    return kind if kind in FORMATS and not packed_parquet else None


def supported() -> str:
    """What a corpus can be made of, in words."""
    return f"{', '.join(FORMATS)} files, also as .gz or .zst, or a folder of them"


def read_txt(file: TextFile, place: int) -> Texts:
    """The whole file as one document."""
    if place:
        return
    with open_utf8(file.path, file.encoding) as stream:
        data = stream.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise _too_large(file.path)
    if data:
        yield data.decode(), 1


def read_jsonl(file: TextFile, place: int) -> Texts:
    """One JSON object a line, its text under the key `column`; empty lines are skipped.

    A place is the offset of a line in the bytes of the text as UTF-8.
    """
    with open_utf8(file.path, file.encoding, place) as stream:
        while line := stream.readline(MAX_DOCUMENT_BYTES + 1):
            if len(line) > MAX_DOCUMENT_BYTES:
                raise _too_large(file.path)
            start, place = place, place + len(line)
            content = line.removeprefix(codecs.BOM_UTF8).strip()
            if content:
                yield _json_text(content, file, start, whole=line.endswith(b"\n")), place


def _json_text(content: bytes, file: TextFile, place: int, *, whole: bool) -> str | None:
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        if whole:
            raise CorpusError(f"not JSON: {_line(file, place)}: {error}") from error
        raise CorpusError(
            f"not JSON: {_line(file, place)}: {error}: "
            "the file ends in the middle of its last line",
            hint="get the complete file, or delete its last line",
        ) from error
    if not isinstance(record, dict):
        raise CorpusError(f"not a JSON object: {_line(file, place)}", hint=LINES_HINT)
    if file.column not in record:
        raise missing_column(_line(file, place), file.column, record)
    return checked_text(record[file.column], file.column, lambda: _line(file, place))


def _line(file: TextFile, place: int) -> str:
    before = 0
    with open_utf8(file.path, file.encoding) as stream:
        while place and (block := stream.read(min(2**20, place))):
            place -= len(block)
            before += block.count(b"\n")
    return f"{file.path}, line {before + 1}"


def read_parquet(file: TextFile, place: int) -> Texts:
    """The rows of a Parquet file. A place is a row number."""
    with open_parquet(file) as opened:
        groups, first = _groups_from(opened, place)
        rows = opened.iter_batches(PARQUET_ROWS, row_groups=groups, columns=[file.column])
        values = (value for batch in rows for value in batch.column(0).to_pylist())
        for row, value in enumerate(itertools.islice(values, place - first, None), place):
            text = checked_text(value, file.column, lambda row=row: f"{file.path}, row {row}")  # type: ignore[misc]
            yield text, row + 1


@contextmanager
def open_parquet(file: TextFile) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile` that has a column of texts; what it is not, is refused."""
    import pyarrow as pa
    from pyarrow import parquet

    path, column = file.path, file.column
    try:
        with parquet.ParquetFile(path) as opened:
            columns = opened.schema_arrow
            if column not in columns.names:
                raise missing_column(str(path), column, columns.names)
            _require_text(columns.field(column).type, column, path)
            yield opened
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise CorpusError(f"not a readable Parquet file: {path}: {error}") from error


def _require_text(kind: Any, column: str, path: Path) -> None:
    from pyarrow import types

    held = kind.value_type if types.is_dictionary(kind) else kind
    texts = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    if not any(is_text(held) for is_text in texts):
        raise CorpusError(f"{column!r} holds {kind}, no text: {path}", hint=COLUMN_HINT)


def _groups_from(file: Any, place: int) -> tuple[list[int], int]:
    first = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if place < first + rows:
            return list(range(group, file.num_row_groups)), first
        first += rows
    return [], place


def read_csv(file: TextFile, place: int) -> Texts:
    """The records of a file with a header line and a column of texts. A place is their number."""
    path, column = file.path, file.column
    delimiter, header = separated.header_of(path, file.encoding, column)
    if column not in header:
        if not header:
            return
        where = f"{path}, separated by {separated.NAMES[delimiter]},"
        raise missing_column(where, column, header)
    index = header.index(column)
    records = separated.records(path, file.encoding, delimiter, len(header))
    for number, record in enumerate(itertools.islice(records, place, None), place):
        yield record[index] if index < len(record) else None, number + 1


FORMATS: dict[str, Format] = {
    ".txt": read_txt,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}


def checked_text(value: object, column: str, where: Callable[[], str]) -> str | None:
    """`value` if it is text or null."""
    if value is None or isinstance(value, str):
        return value
    raise CorpusError(
        f"{column!r} holds {type(value).__name__}, no text: {where()}", hint=COLUMN_HINT
    )


def missing_column(where: str, column: str, columns: Any) -> CorpusError:
    """There is no such column; the message lists those that exist."""
    names = [str(name)[:40] for name in itertools.islice(columns, 20)]
    shown = ", ".join(map(repr, names)) or "none"
    return CorpusError(
        f"no column {column!r}: {where} has {shown}",
        hint=COLUMN_HINT if not names else f"{COLUMN_HINT}, as in --column {shlex.quote(names[0])}",
    )


def _too_large(path: Path) -> CorpusError:
    return CorpusError(
        f"document larger than {MAX_DOCUMENT_BYTES:,} bytes: {path}",
        hint="split it into files or into lines of a .jsonl file",
    )
