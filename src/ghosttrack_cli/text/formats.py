"""The text formats that a corpus of files can have: each yields (text, place of the next)."""

from __future__ import annotations

import codecs
import csv
import itertools
import json
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Texts = Iterator[tuple[str, int]]
    Format = Callable[[Path, str, int], Texts]

MAX_DOCUMENT_BYTES = 2**28
PARQUET_ROWS = 256
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_txt(path: Path, _column: str, place: int) -> Texts:
    """The whole file as one document; bytes that are not UTF-8 become U+FFFD."""
    if place:
        return
    with path.open("rb") as file:
        data = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise _too_large(path)
    encodings = (name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark))
    yield data.decode(next(encodings, "utf-8"), "replace"), 1


def read_jsonl(path: Path, column: str, place: int) -> Texts:
    """One JSON object a line, its text under the key `column`; null and empty lines are skipped.

    A place is the offset of a line in bytes.
    """
    with path.open("rb") as file:
        file.seek(place)
        while line := file.readline(MAX_DOCUMENT_BYTES + 1):
            if len(line) > MAX_DOCUMENT_BYTES:
                raise _too_large(path)
            start, place = place, place + len(line)
            text = _json_text(line, column, path, start)
            if text is not None:
                yield text, place


def _json_text(line: bytes, column: str, path: Path, place: int) -> str | None:
    content = line.removeprefix(codecs.BOM_UTF8).strip()
    if not content:
        return None
    try:
        record = json.loads(content.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"not JSON: {_line(path, place)}: {error}") from error
    if not isinstance(record, dict):
        raise CorpusError(f"not a JSON object: {_line(path, place)}")
    if column not in record:
        raise missing_column(_line(path, place), column, record)
    return checked_text(record[column], column, lambda: _line(path, place))


def _line(path: Path, place: int) -> str:
    with path.open("rb") as file:
        blocks = iter(lambda: file.read(min(2**20, place - file.tell())), b"")
        before = sum(block.count(b"\n") for block in blocks)
    return f"{path}, line {before + 1}"


def read_parquet(path: Path, column: str, place: int) -> Texts:
    """The rows of a Parquet file; null is skipped. A place is a row number."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise missing_column(str(path), column, file.schema_arrow.names)
            groups, first = _groups_from(file, place)
            rows = file.iter_batches(PARQUET_ROWS, row_groups=groups, columns=[column])
            values = (value for batch in rows for value in batch.column(0).to_pylist())
            for row, value in enumerate(itertools.islice(values, place - first, None), place):
                text = checked_text(value, column, lambda row=row: f"{path}, row {row}")  # type: ignore[misc]
                if text is not None:
                    yield text, row + 1
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise CorpusError(f"not a readable Parquet file: {path}: {error}") from error


def _groups_from(file: Any, place: int) -> tuple[list[int], int]:
    first = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if place < first + rows:
            return list(range(group, file.num_row_groups)), first
        first += rows
    return [], place


def read_csv(path: Path, column: str, place: int) -> Texts:
    """The records of a CSV file with a header line. A place is a record number."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        records = csv.DictReader(file)
        try:
            if column not in (records.fieldnames or ()):
                raise missing_column(str(path), column, records.fieldnames or ())
            for number, record in enumerate(itertools.islice(records, place, None), place):
                if record[column] is not None:
                    yield record[column], number + 1
        except csv.Error as error:
            raise CorpusError(
                f"not readable as CSV: {path}, line {records.line_num}: {error}",
                hint="write one JSON object a line instead: .jsonl",
            ) from error


FORMATS: dict[str, Format] = {
    ".txt": read_txt,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
    ".csv": read_csv,
}


def checked_text(value: object, column: str, where: Callable[[], str]) -> str | None:
    """`value` if it is text or null."""
    if value is None or isinstance(value, str):
        return value
    raise CorpusError(
        f"{column!r} holds {type(value).__name__}, no text: {where()}",
        hint="name the column that holds the text: [corpus] column",
    )


def missing_column(where: str, column: str, columns: Any) -> CorpusError:
    """There is no such column; the message lists those that exist."""
    names = ", ".join(repr(str(name)[:40]) for name in itertools.islice(columns, 20))
    return CorpusError(
        f"no column {column!r}: {where} has {names or 'none'}",
        hint="name the column that holds the text: [corpus] column",
    )


def _too_large(path: Path) -> CorpusError:
    return CorpusError(
        f"one document of more than {MAX_DOCUMENT_BYTES:,} bytes: {path}",
        hint="split it into files or into lines of a .jsonl file",
    )
