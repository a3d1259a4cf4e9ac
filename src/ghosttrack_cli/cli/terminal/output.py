"""What commands want to say, apart from how a console shows it: styled lines and tables."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

JOINERS = "\u200c\u200d"


@dataclass(frozen=True)
class Span:
    """A piece of text in one style, in Rich's words: "bold", "dim", "red on white".

    A line with a `whole` span is never wrapped: it is there to be copied. Where a line does not fit
    and has a span in `focus`, it is cropped around that one.
    """

    text: str
    style: str = ""
    whole: bool = False
    focus: bool = False


Line = tuple[Span, ...]


@dataclass(frozen=True)
class Column:
    """A column of a table; where a terminal is too narrow, `cut` columns make room, in one line."""

    name: str
    align: Literal["left", "right"] = "left"
    cut: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of spans below column names."""

    columns: tuple[Column, ...]
    rows: tuple[Line, ...]


def line(*parts: str | Span) -> Line:
    """Put a line together from plain strings and styled spans."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def command_line(command: str) -> Line:
    """A command that the reader can copy: alone on its line, in one piece."""
    return line("  ", Span(command, "bold cyan", whole=True))


def visible(text: str, *, keep: str = "") -> str:
    r"""Show what would act on a terminal instead of standing in it as its escape.

    Control characters, bidirectional marks, other invisible format characters, line separators
    and lone surrogates are escaped; characters in `keep` stay.

    >>> visible("red\x1b[31m\u202eab\n"), visible("a\nb", keep="\n")
    ('red\\x1b[31m\\u202eab\\n', 'a\nb')
    """
    if text.isprintable():
        return text
    return "".join(char if char in keep or _is_harmless(char) else _escape(char) for char in text)


def _is_harmless(char: str) -> bool:
    return char.isprintable() or char in JOINERS or unicodedata.category(char) in {"Zs", "Cn", "Co"}


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def plain(spans: Sequence[Span]) -> str:
    """The text of a line without its styles."""
    return "".join(visible(span.text) for span in spans)


def width(text: str) -> int:
    """Terminal cells of `text`: wide East Asian characters take two, combining marks none."""
    return sum(
        0
        if unicodedata.combining(char)
        else 2
        if unicodedata.east_asian_width(char) in {"W", "F"}
        else 1
        for char in text
    )


def cut(text: str, cells: int) -> str:
    """The beginning of `text` that fits into so many terminal cells, with an ellipsis if it ends.

    >>> cut("reading corpus", 8), cut("tokens", 8)
    ('reading…', 'tokens')
    """
    text = visible(text)
    if width(text) <= cells:
        return text
    while text and width(text) > cells - 1:
        text = text[:-1]
    return f"{text}…" if cells > 0 else ""


def plain_table(table: Table) -> list[str]:
    """Columns two spaces apart, for pipes and files: nothing is cut."""
    rows = [[column.name for column in table.columns]]
    rows += [[visible(cell.text) for cell in row] for row in table.rows]
    widths = [max(width(row[i]) for row in rows) for i in range(len(table.columns))]
    return ["  ".join(_cells(row, widths, table.columns)).rstrip() for row in rows]


def _cells(row: list[str], widths: list[int], columns: tuple[Column, ...]) -> list[str]:
    padding = [" " * (cells - width(text)) for text, cells in zip(row, widths, strict=True)]
    return [
        space + text if column.align == "right" else text + space
        for text, space, column in zip(row, padding, columns, strict=True)
    ]
