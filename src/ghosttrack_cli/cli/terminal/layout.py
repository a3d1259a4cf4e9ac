"""Lines and tables fitted to a terminal: words stay whole, nothing is squeezed to a letter."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ghosttrack_cli.cli.terminal.output import (
    Column,
    Line,
    Span,
    Table,
    cut,
    line,
    plain,
    visible,
    width,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

GAP = "  "
NARROWEST = 12
"""Cells that a cut column keeps; where that is too much, rows are stacked."""
NOTHING = {"", "-"}
MORE = "…"


def lay_out(blocks: Iterable[Line | Table], columns: int) -> list[Line]:
    """All blocks as lines of at most `columns` cells, but for words and commands that are longer.

    A word, a number, a path and a command to paste are never broken or cut.
    """
    lines: list[Line] = []
    for block in blocks:
        lines += fit_table(block, columns) if isinstance(block, Table) else fit_line(block, columns)
    return lines


def fit_line(spans: Line, columns: int) -> list[Line]:
    """A line as it is if it fits, cropped around its focus, or wrapped between words."""
    if width(plain(spans)) <= columns or any(span.whole for span in spans):
        return [spans]
    if any(span.focus for span in spans):
        return [_cropped(spans, columns)]
    return _wrapped(spans, columns)


def _wrapped(spans: Line, columns: int) -> list[Line]:
    """Words in as many lines as they need, indented under the first word behind a label."""
    label = spans[0].text if spans[0].style and spans[0].text.endswith(" ") else ""
    outer = re.match(" *", plain(spans))
    indent = width(label) or 2 + len(outer[0] if outer else "")
    lines: list[list[Span]] = [[]]
    used = 0
    for word in _words(spans):
        cells = width(word.text.rstrip(" "))
        if used > indent and used + cells > columns:
            lines.append([Span(" " * indent)])
            used = indent
        lines[-1].append(word)
        used += width(word.text)
    return [tuple(one) for one in lines]


def _words(spans: Line) -> Iterator[Span]:
    """Pieces that stay together, each with the blanks behind it."""
    for span in spans:
        for text in re.findall(r" *[^ ]* *", visible(span.text)):
            if text:
                yield replace(span, text=text)


def _cropped(spans: Line, columns: int) -> Line:
    """The label of a line, and what there is room for around the span in focus."""
    label, *rest = spans
    cells = [(char, span) for span in rest for char in visible(span.text)]
    focus = [place for place, (_, span) in enumerate(cells) if span.focus]
    room = columns - width(label.text) - 2 * width(MORE)
    first, last = _window([width(char) for char, _ in cells], focus[0], focus[-1], room)
    shown = [replace(span, text=char) for char, span in cells[first:last]]
    before, after = MORE if first else "", MORE if last < len(cells) else ""
    return (label, Span(before, "dim"), *_joined(shown), Span(after, "dim"))


def _window(cells: Sequence[int], first: int, last: int, room: int) -> tuple[int, int]:
    """The places from and before which cells are shown: as much before as after the focus."""
    start = stop = first
    used = 0
    while used < room and (start > 0 or stop < len(cells)):
        forward = stop < len(cells) and (stop <= last or start == 0 or stop - last <= first - start)
        used += cells[stop if forward else start - 1]
        if used > room:
            break
        start, stop = (start, stop + 1) if forward else (start - 1, stop)
    return start, stop


def _joined(spans: Sequence[Span]) -> Iterator[Span]:
    """Neighbours of one style as one span."""
    held: Span | None = None
    for span in spans:
        if held is not None and replace(span, text=held.text) == held:
            held = replace(held, text=held.text + span.text)
            continue
        if held is not None:
            yield held
        held = span
    if held is not None:
        yield held


def fit_table(table: Table, columns: int) -> list[Line]:
    """Columns side by side, those that may be cut shortened; else one row below the other."""
    if not table.rows:
        return [tuple(Span(f"{column.name}{GAP}", "bold") for column in table.columns)]
    texts = [[visible(cell.text) for cell in row] for row in table.rows]
    widths = [
        max(width(column.name), *(width(row[place]) for row in texts))
        for place, column in enumerate(table.columns)
    ]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - columns
    cuts = [place for place, column in enumerate(table.columns) if column.cut]
    while excess > 0 and any(widths[place] > NARROWEST for place in cuts):
        widths[max(cuts, key=lambda place: widths[place])] -= 1
        excess -= 1
    if excess > 0:
        return [one for row in table.rows for one in _stacked(table.columns, row, columns)]
    header = tuple(Span(column.name, "bold") for column in table.columns)
    return [_side_by_side(table.columns, row, widths) for row in (header, *table.rows)]


def _side_by_side(columns: Sequence[Column], row: Line, widths: Sequence[int]) -> Line:
    spans: list[Span] = []
    for column, cell, cells in zip(columns, row, widths, strict=True):
        text = cut(cell.text, cells)
        padding = " " * (cells - width(text))
        spans.append(Span(GAP if spans else ""))
        spans += [Span(padding), Span(text, cell.style)][:: -1 if column.align == "left" else 1]
    while spans and not spans[-1].text.strip():
        spans.pop()
    return tuple(spans)


def _stacked(columns: Sequence[Column], row: Line, room: int) -> list[Line]:
    """A row as its first cell and, below it, names with their values."""
    first, cell = columns[0], row[0]
    name = f"{first.name} " if first.align == "right" else ""
    lines = [line(Span(f"{name}{visible(cell.text)}", "bold"))]
    used = room
    for column, one in zip(columns[1:], row[1:], strict=True):
        text = visible(one.text)
        if text in NOTHING:
            continue
        if column.cut:
            text = cut(text, room - len(GAP) - width(column.name) - 1)
        cells = width(column.name) + 1 + width(text)
        pair = (Span(f"{column.name} ", "dim"), Span(text, one.style))
        if used + len(GAP) + cells > room:
            lines.append((Span(GAP), *pair))
            used = len(GAP) + cells
        else:
            lines[-1] = (*lines[-1], Span(GAP), *pair)
            used += len(GAP) + cells
    return lines
