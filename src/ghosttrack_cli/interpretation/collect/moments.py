"""Exact counts and sums of each feature's firings.

F d_hidden, E events. Sums are float64 and add up row after row, so that they are equal bit for bit
however the rows are cut into batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.interpretation.collect.arrays import (
        AnyArray,
        BoolArray,
        DoubleArray,
        IntArray,
        SingleArray,
    )
    from ghosttrack_cli.interpretation.collect.events import Events, Rows

BINS = 96
LOWEST_OCTAVE = -10
BINS_AN_OCTAVE = 4
POSITION_BINS = 21
FIRST_BIN = (127 + LOWEST_OCTAVE) * BINS_AN_OCTAVE


class Moments:
    """Firings, sums, windows fired and histograms of F features."""

    def __init__(self, d_hidden: int) -> None:
        self.rows = 0
        self.windows_seen = 0
        self.rows_by_position = np.zeros(POSITION_BINS, np.int64)
        self.firings = np.zeros(d_hidden, np.int64)
        self.windows = np.zeros(d_hidden, np.int64)
        self.total = np.zeros(d_hidden, np.float64)
        self.squares = np.zeros(d_hidden, np.float64)
        self.histogram = np.zeros((d_hidden, BINS), np.int64)
        self.by_position = np.zeros((d_hidden, POSITION_BINS), np.int64)

    def count_rows(self, rows: Rows) -> None:
        """Count a batch's rows and windows, once for all blocks."""
        self.rows += int(rows.counted.sum())
        self.windows_seen += len(np.unique(rows.windows[rows.counted]))
        bins = position_bins(rows.positions[rows.counted])
        self.rows_by_position += np.bincount(bins, minlength=POSITION_BINS)

    def update(self, events: Events, rows: Rows) -> None:
        """Add the counted events of a block."""
        features, values = events.features, events.values.astype(np.float64)
        np.add.at(self.firings, features, 1)
        np.add.at(self.total, features, values)
        np.add.at(self.squares, features, values * values)
        _count(self.histogram, features, value_bins(events.values))
        _count(self.by_position, features, position_bins(rows.positions)[events.columns])
        np.add.at(self.windows, features[_first_in_window(events, rows)], 1)

    def merge(self, other: Moments) -> None:
        """Add what another collector has seen on other windows."""
        self.rows += other.rows
        self.windows_seen += other.windows_seen
        theirs = other.arrays()
        for name, mine in self.arrays().items():
            np.add(mine, theirs[name], out=mine)

    def arrays(self) -> dict[str, AnyArray]:
        """The state but for `rows` and `windows_seen`."""
        names = ("firings", "windows", "total", "squares", "histogram", "by_position")
        return {name: getattr(self, name) for name in (*names, "rows_by_position")}

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Take the state that `arrays` gave."""
        for name, array in self.arrays().items():
            array[...] = arrays[name]


def _count(table: IntArray, features: IntArray, bins: IntArray) -> None:
    """Add 1 at each (feature, bin); by flat index, which numpy does several times as fast."""
    np.add.at(table.reshape(-1), features * table.shape[1] + bins, 1)


def value_bins(values: SingleArray) -> IntArray:
    """The histogram bin of each activation > 0: its exponent and two bits of its mantissa.

    The lowest and the highest bin also take what lies beyond them.
    """
    bins = (values.view(np.int32) >> 21).astype(np.int64) - FIRST_BIN
    return bins.clip(0, BINS - 1)


def bin_edges() -> DoubleArray:
    """The BINS + 1 borders between the bins: 2**octave * (1, 1.25, 1.5, 1.75)."""
    octaves = 2.0 ** np.arange(LOWEST_OCTAVE, LOWEST_OCTAVE + BINS // BINS_AN_OCTAVE)
    edges = octaves[:, None] * (1 + np.arange(BINS_AN_OCTAVE) / BINS_AN_OCTAVE)
    return np.append(edges.ravel(), 2 * octaves[-1])


def position_bins(positions: AnyArray) -> IntArray:
    """The octave of each position: 0, 1, 2-3, 4-7 and so on."""
    _, exponent = np.frexp(positions.astype(np.float64))
    return exponent.astype(np.int64).clip(0, POSITION_BINS - 1)


def position_edges() -> IntArray:
    """The borders between the octaves of positions: 0, 1, 2, 4, 8 and so on."""
    return np.append(0, 2 ** np.arange(POSITION_BINS))


def _first_in_window(events: Events, rows: Rows) -> BoolArray:
    """Which events are their feature's first in their window."""
    windows = rows.windows[events.columns]
    first = np.ones(len(windows), bool)
    same = events.features[1:] == events.features[:-1]
    first[1:] = ~(same & (windows[1:] == windows[:-1]))
    return first
