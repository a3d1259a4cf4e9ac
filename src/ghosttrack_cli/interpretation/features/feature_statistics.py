"""From counts to what people read: rates with bounds, bands, lift, flags."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.report.feature_schema import Histogram, PositionBins
from ghosttrack_cli.report.search import strength

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ghosttrack_cli.interpretation.collect.arrays import AnyArray, DoubleArray, IntArray
    from ghosttrack_cli.report.feature_flags import Flag
    from ghosttrack_cli.report.feature_schema import FiringToken, Neighbour

Z_95 = 1.959963984540054
RULE_OF_THREE = 3.0
BANDS = 5
RARE_RATE = 1e-4
DENSE_RATE = 0.1
CONCENTRATED = 0.9
FEWEST_FIRINGS = 10
DUPLICATE_COSINE = 0.9
FEW_WINDOWS = 10
HALVED = frozenset({"single-token", "duplicate"})
TENTHED = frozenset({"dense", "rare", "position-bound"})


@dataclass(frozen=True)
class Rate:
    """A share of `rows` rows with its 95 % bounds."""

    value: float
    low: float
    high: float


def rate_of(firings: int, rows: int) -> Rate:
    """The rate of so many firings, with Wilson's bounds (1927); 3 / rows above when there is none.

    >>> rate_of(0, 300)
    Rate(value=0.0, low=0.0, high=0.01)
    """
    if rows == 0:
        return Rate(0.0, 0.0, 1.0)
    if firings == 0:
        return Rate(0.0, 0.0, min(1.0, RULE_OF_THREE / rows))
    p, z2 = firings / rows, Z_95**2 / rows
    middle = (p + z2 / 2) / (1 + z2)
    half = Z_95 * math.sqrt(p * (1 - p) / rows + z2 / (4 * rows)) / (1 + z2)
    return Rate(p, min(p, max(0.0, middle - half)), max(p, min(1.0, middle + half)))


def spread_of(firings: int, total: float, squares: float) -> tuple[float, float]:
    """Mean and standard deviation over firings, from their sum and sum of squares."""
    if firings == 0:
        return 0.0, 0.0
    mean = total / firings
    return mean, math.sqrt(max(0.0, squares / firings - mean * mean))


def band_edges(counts: IntArray, edges: DoubleArray, highest: float) -> DoubleArray:
    """The BANDS + 1 activations between which equally many firings lie, rising.

    Interpolated inside the bins of a histogram, `counts` (n,) between `edges` (n + 1,); exact at
    the upper end, where `highest` is known.
    """
    filled = np.flatnonzero(counts)
    low = edges[filled].clip(max=highest)
    high = edges[filled + 1].clip(max=highest)
    high[-1] = max(high[-1], highest)
    below = np.append(0, np.cumsum(counts[filled]))
    quantiles = np.linspace(0, below[-1], BANDS + 1)
    place = (np.searchsorted(below, quantiles, side="left") - 1).clip(0, len(filled) - 1)
    inside = (quantiles - below[place]) / counts[filled][place]
    result: DoubleArray = low[place] + (high[place] - low[place]) * inside
    return result


def trimmed(counts: IntArray, edges: AnyArray) -> Histogram:
    """A histogram without the empty bins at both ends."""
    filled = np.flatnonzero(counts)
    if len(filled) == 0:
        return Histogram(edges=[], counts=[])
    first, last = int(filled[0]), int(filled[-1]) + 1
    return Histogram(
        edges=[float(edge) for edge in edges[first : last + 1]], counts=counts[first:last].tolist()
    )


def position_bins(firings: IntArray, rows: IntArray, edges: IntArray) -> PositionBins:
    """Firings (B,) and counted rows (B,) by position, between `edges` (B + 1,), with their rates.

    Bins reach from the first to the last with rows; a bin without firings stays, its rate is 0.
    """
    filled = np.flatnonzero(rows)
    if len(filled) == 0 or not firings.any():
        return PositionBins(edges=[], counts=[], rows=[], rates=[])
    part = slice(int(filled[0]), int(filled[-1]) + 1)
    rates = firings[part] / rows[part].clip(1)
    return PositionBins(
        edges=edges[part.start : part.stop + 1].tolist(),
        counts=firings[part].tolist(),
        rows=rows[part].tolist(),
        rates=[float(f"{rate:.6g}") for rate in rates],
    )


def density_histogram(rates: DoubleArray) -> Histogram:
    """Features that fire, by log10 of their rate, a quarter of a decade a bin."""
    logs = np.log10(rates[rates > 0])
    if len(logs) == 0:
        return Histogram(edges=[], counts=[])
    first = math.floor(logs.min() * 4)
    edges = np.arange(first, 1) / 4 if first < 0 else np.array([-0.25, 0.0])
    counts, _ = np.histogram(logs.clip(max=0.0), edges)
    return Histogram(edges=edges.tolist(), counts=counts.tolist())


def flags_of(
    rate: Rate,
    firings: int,
    tokens: Sequence[FiringToken],
    by_position: IntArray,
    rows_by_position: IntArray,
    neighbours: Sequence[Neighbour],
) -> list[Flag]:
    """What is worth knowing about a feature at a glance.

    dead: no firing. rare: below 1 in 10,000 rows. dense: above 1 in 10. single-token: 90 % of at
    least 10 firings are on one token. position-bound: 90 % of at least 10 firings lie in one octave
    of positions that holds less than half of the rows. duplicate: a decoder cosine above 0.9.
    """
    tests: dict[Flag, bool] = {
        "dead": firings == 0,
        "rare": 0 < rate.value < RARE_RATE,
        "dense": rate.value > DENSE_RATE,
        "single-token": firings >= FEWEST_FIRINGS
        and any(token.p_token_given_fires >= CONCENTRATED for token in tokens),
        "position-bound": firings >= FEWEST_FIRINGS
        and is_position_bound(by_position, rows_by_position),
        "duplicate": any(near.cosine > DUPLICATE_COSINE for near in neighbours),
    }
    return [flag for flag, holds in tests.items() if holds]


def is_position_bound(by_position: IntArray, rows_by_position: IntArray) -> bool:
    """Whether 90 % of the firings lie where less than half of the rows are."""
    most = int(by_position.argmax())
    inside = by_position[most] / max(1, by_position.sum())
    expected = rows_by_position[most] / max(1, rows_by_position.sum())
    return bool(inside >= CONCENTRATED and expected < 1 / 2)


def telling(tokens: Iterable[FiringToken], windows: int, flags: Iterable[Flag]) -> float:
    """How much a feature tells, for lists that begin with the most telling ones.

    The bits that a firing says about its token, sum of P(token | fires) log2(lift), less where few
    windows are behind them, half for a feature like another or on one token, a tenth for one whose
    examples may mislead.
    """
    bits = sum(strength(token) for token in tokens)
    doubts = frozenset(flags)
    factor = 0.5 ** len(doubts & HALVED) * 0.1 ** len(doubts & TENTHED)
    return bits * windows / (windows + FEW_WINDOWS) * factor


def most_telling_first(tokens: Iterable[FiringToken]) -> list[FiringToken]:
    """By P(token | fires) log(lift): a frequent token needs more than its share."""
    return sorted(tokens, key=lambda one: -one.p_token_given_fires * math.log(one.lift))
