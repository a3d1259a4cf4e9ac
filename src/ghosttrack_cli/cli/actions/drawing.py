"""Small pictures out of text: sparklines, and tokens coloured by a feature's activation."""

from __future__ import annotations

import re
from math import log
from typing import TYPE_CHECKING

from ghosttrack_cli.cli.terminal.output import Line, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ghosttrack_cli.report.feature_schema import Example

BARS = "▁▂▃▄▅▆▇█"
RAMP = (
    "black on #fff3c4",
    "black on #fcd787",
    "black on #f9b24e",
    "black on #ef8a2b",
    "white on #b3541e",
)
"""From pale yellow to brown: readable on light and dark, and without telling red from green."""


def sparkline(values: Sequence[float]) -> str:
    """Draw values as bars; zero is a blank, the largest value a full bar.

    >>> sparkline([0, 1, 4, 8])
    ' ▁▄█'
    """
    largest = max(values, default=0)
    return "".join(
        BARS[max(0, round(value / largest * len(BARS)) - 1)] if value > 0 else " "
        for value in values
    )


def curve(values: Sequence[float], width: int) -> str:
    """Draw the course of values in at most `width` bars, from the smallest to the largest.

    Values that span more than a factor of ten are drawn by their logarithm.

    >>> curve([1000, 100, 10, 1], 4)
    '█▆▃▁'
    >>> curve([0.2, 0.2, 0.4], 8)
    '▁▁█'
    """
    step = max(1, -(-len(values) // width))
    shown = list(values)[::-1][::step][::-1]
    if shown and min(shown) > 0 and max(shown) > 10 * min(shown):
        shown = [log(value) for value in shown]
    low, high = min(shown, default=0), max(shown, default=0)
    span = (high - low) or 1
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in shown)


def shade(act: float, largest: float) -> str:
    """The style of a token with activation `act`; none where the feature does not fire."""
    if act <= 0 or largest <= 0:
        return ""
    return RAMP[min(len(RAMP) - 1, int(act / largest * len(RAMP)))]


def token_text(text: str) -> str:
    """A token on one line: its line breaks become arrows."""
    return re.sub(r"\r\n|\r|\n", "↵", text).replace("\t", "⇥")


def quoted(text: str) -> str:
    r"""A token in quotes: its line breaks are arrows, and what is invisible shows as an escape.

    >>> print(quoted(" a\n"), quoted("\u200b"), quoted(r"\xe3"), quoted("it's"))
    ' a↵' '\u200b' '\xe3' "it's"
    """
    mark = '"' if "'" in text else "'"
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in token_text(text)
    )
    return f"{mark}{shown}{mark}"


def example_line(example: Example, largest: float) -> Line:
    """One firing: its activation, then the tokens around it, the peak in brackets."""
    spans = [Span(f"{example.act:8.3g}  ", "bold")]
    for index, (text, act) in enumerate(zip(example.texts, example.acts, strict=True)):
        shown = re.sub(r" {4,}", "   ", token_text(text))  # indentation says little here
        peak = index == example.peak
        shown = f"«{shown}»" if peak else shown
        spans.append(Span(shown, shade(act, largest), focus=peak))
    return tuple(spans)
