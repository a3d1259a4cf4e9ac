"""A running stage as lines: three of a given width on a terminal, one in a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.cli.terminal.output import Line, Span, cut, line, width
from ghosttrack_cli.quantities import (
    format_done,
    format_figure,
    format_rate,
    format_seconds,
    format_share,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.cli.terminal.board import Standing

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SPINS = 5
"""A second."""
FULL, HALF, EMPTY = "━", "╸", "─"
NARROW, WIDE = 60, 100
"""Columns: below, rates and the time of the whole are left out; from there on, bars are longer."""
GAP = "  "


def frame(standing: Standing, columns: int) -> list[Line]:
    """The stage, its part, and the figures of the part, each cut to one line."""
    bar_cells = 8 if columns < NARROW else 16 if columns < WIDE else 30
    narrow = columns < NARROW
    whole_left = standing.left
    ends = [
        _row(
            [standing.stage, standing.part.of],
            _bar(standing.whole, bar_cells),
            [
                (format_share(standing.whole), 4),
                (format_seconds(standing.seconds), 6),
                *([] if narrow else [(_left(whole_left, "about "), 18)]),
            ],
            columns,
        ),
        _row(
            ["", standing.part.name],
            _part_bar(standing, bar_cells),
            [
                (_part_share(standing), 4),
                (_part_time(standing), 12),
                *([] if narrow else [(_rate(standing), 16)]),
            ],
            columns,
        ),
    ]
    figures = standing.progress.figures if standing.progress else {}
    return [*ends, line(Span(cut(GAP + figure_words(figures), columns), "dim"))]


def log_line(standing: Standing) -> str:
    """The same in one line of a log: nothing is cut, and what is not known is left out."""
    progress, left = standing.progress, standing.part_left
    title = " ".join(word for word in (standing.stage, standing.part.of) if word)
    parts = [
        f"{title}: {standing.part.name}",
        format_done(progress.done, progress.total, progress.unit) if progress else "",
        "" if standing.share is None else format_share(standing.share),
        _rate(standing),
        "" if left is None else _left(left),
        figure_words(progress.figures) if progress else "",
        f"{format_seconds(standing.seconds)} so far" if standing.seconds >= 1 else "",
    ]
    return GAP.join(part for part in parts if part)


def figure_words(figures: Mapping[str, float | str]) -> str:
    """Write the numbers that matter in their order: loss 0.0123  L0 66.2."""
    return GAP.join(f"{name} {format_figure(value)}" for name, value in figures.items())


def _row(labels: list[str], bar: Line, cells: list[tuple[str, int]], columns: int) -> Line:
    """A label that takes what room there is, a bar, and cells of fixed width behind it."""
    ends = "".join(f" {text:>{size}}" for text, size in cells)
    room = columns - sum(width(span.text) for span in bar) - width(ends) - 1
    name, rest = labels
    label = cut(" ".join(word for word in (name, rest) if word) if name else GAP + rest, room)
    padding = " " * (room - width(label))
    return line(Span(label, "bold" if name else ""), padding, " ", *bar, ends)


def _bar(share: float, cells: int) -> Line:
    """A bar of so many cells, drawn by halves."""
    halves = int(2 * cells * share + 1e-9)
    full = FULL * (halves // 2) + (HALF if halves % 2 else "")
    return line(Span(full, "magenta"), Span(EMPTY * (cells - len(full)), "bright_black"))


def _part_bar(standing: Standing, cells: int) -> Line:
    if standing.share is not None:
        return _bar(standing.share, cells)
    turn = SPINNER[int(standing.part_seconds * SPINS) % len(SPINNER)]
    return line(Span(turn, "magenta"), " " * (cells - 1))


def _part_share(standing: Standing) -> str:
    return "" if standing.share is None else format_share(standing.share)


def _part_time(standing: Standing) -> str:
    """What is left of the part, or else for how long it has gone."""
    if standing.part_left is None:
        return format_seconds(standing.part_seconds)
    return _left(standing.part_left)


def _rate(standing: Standing) -> str:
    if standing.rate is None or standing.progress is None:
        return ""
    return format_rate(standing.rate, standing.progress.unit)


def _left(seconds: float | None, about: str = "") -> str:
    return "" if seconds is None else f"{about}{format_seconds(seconds)} left"
