"""Files of separated values: commas, semicolons, tabs or bars, told apart by the header."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.text.opening import open_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
MAX_FIELD_BYTES = 2**28


def header_of(path: Path, encoding: str | None, column: str) -> tuple[str, list[str]]:
    """The delimiter with which the header has `column`, else that with most names; and the names.

    Raises:
        CorpusError: not readable as separated values.
    """
    first = "\t" if path.name.lower().partition(".tsv")[1] else ","
    found: dict[str, list[str]] = {}
    for delimiter in sorted(NAMES, key=lambda one: one != first):
        # Quotes that one delimiter makes wrong, another makes right.
        _, found[delimiter] = next(_rows(path, encoding, delimiter, strict=False), (0, []))
        if column in found[delimiter]:
            return delimiter, found[delimiter]
    best = max(found, key=lambda delimiter: len(found[delimiter]))
    return best, found[best]


def records(path: Path, encoding: str | None, delimiter: str, columns: int) -> Iterator[list[str]]:
    """The records after the header; a short one has its last fields missing.

    Raises:
        CorpusError: a field more than the header has, or a quote without end; names the line.
    """
    rows = _rows(path, encoding, delimiter, strict=True)
    next(rows, None)
    for line, row in rows:
        if any(row[columns:]):
            raise CorpusError(
                f"more fields than the header has: {path}, line {line}: {len(row)} fields"
                f" separated by {NAMES[delimiter]}, {columns} columns",
                hint="quote texts that hold the separator, or write JSON lines: .jsonl",
            )
        yield row


def _rows(
    path: Path, encoding: str | None, delimiter: str, *, strict: bool
) -> Iterator[tuple[int, list[str]]]:
    """All rows that are not empty, each with the number of its last line."""
    csv.field_size_limit(MAX_FIELD_BYTES)
    with open_text(path, encoding) as file:
        rows = csv.reader(file, delimiter=delimiter, strict=strict)
        try:
            yield from ((rows.line_num, row) for row in rows if row)
        except csv.Error as error:
            raise CorpusError(
                f"not readable as separated values: {path}, line {rows.line_num}: {error}",
                hint="a quote inside a quoted text is written twice; or use JSON lines: .jsonl",
            ) from error
