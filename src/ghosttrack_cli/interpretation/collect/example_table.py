"""For each feature the K events with the largest keys, each with its window copied.

F d_hidden, K events kept, W tokens of a window (its middle is the event), C candidates.

A table is a function of the set of events it was offered: not of their order, nor of how they were
cut into batches. Equal keys go to the smaller row. Two tables merge into that of all their events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.interpretation.collect.events import NO_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from ghosttrack_cli.interpretation.collect.arrays import (
        AnyArray,
        BoolArray,
        DoubleArray,
        IntArray,
    )
    from ghosttrack_cli.interpretation.collect.events import Block, Rows, Surroundings


EMPTY = -1
LAST = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Candidates:
    """Events offered to a table: features, keys and columns of the batch, all (C,).

    They come by feature, then row, as events do.
    """

    features: IntArray
    keys: DoubleArray
    columns: IntArray


class ExampleTable:
    """K events for each of F features."""

    def __init__(self, d_hidden: int, kept: int, side: int) -> None:
        self.side = side
        shape, window = (d_hidden, kept), (d_hidden, kept, 2 * side + 1)
        self._arrays: dict[str, AnyArray] = {
            "keys": np.full(shape, -np.inf),
            "rows": np.full(shape, EMPTY, np.int64),
            "acts": np.zeros(shape, np.float32),
            "documents": np.zeros(shape, np.int64),
            "positions": np.zeros(shape, np.int32),
            "answers": np.zeros(shape, np.int8),
            "tokens": np.full(window, NO_TOKEN, np.int32),
            "window_acts": np.zeros(window, np.float32),
        }

    def arrays(self) -> dict[str, AnyArray]:
        """The state: (F, K) each, tokens and their activations (F, K, W)."""
        return self._arrays

    @property
    def keys(self) -> DoubleArray:
        """The keys, (F, K), -inf where empty."""
        keys: DoubleArray = self._arrays["keys"]
        return keys

    def thresholds(self, features: slice) -> DoubleArray:
        """A key must be above these to be accepted from rows that come later."""
        lowest: DoubleArray = self.keys[features].min(axis=1)
        return lowest

    def offer(self, candidates: Candidates, block: Block, around: Surroundings) -> None:
        """Take in the events of one batch that are among the K largest."""
        chosen = _strongest(candidates, self.keys.shape[1])
        if len(chosen.features) == 0:
            return
        places, new = self._places(chosen, around.rows)
        columns = chosen.columns[new]
        fresh = {
            **self._copy(block, around, chosen.features[new], columns),
            "keys": chosen.keys[new],
        }
        for name, values in fresh.items():
            flat = self._arrays[name].reshape(-1, *values.shape[1:])  # (F K) or (F K, W)
            flat[places] = values

    def _places(self, chosen: Candidates, rows: Rows) -> tuple[IntArray, IntArray]:
        """Where accepted events go, as feature times K plus slot, and which candidates they are."""
        affected, starts, counts = np.unique(chosen.features, return_index=True, return_counts=True)
        new = np.arange(counts.max())
        inside = new < counts[:, None]  # (A, K')
        index = np.where(inside, starts[:, None] + new, 0)
        keys = np.where(inside, chosen.keys[index], -np.inf)
        numbers = np.where(inside, rows.numbers[chosen.columns[index]], LAST)
        stay, enter = _contest(self.keys[affected], self._rows(affected), keys, numbers)
        a, slot = np.nonzero(~stay)
        return affected[a] * self.keys.shape[1] + slot, index[enter]

    def _rows(self, features: IntArray) -> IntArray:
        rows: IntArray = self._arrays["rows"][features]
        return rows

    def _copy(
        self, block: Block, around: Surroundings, features: IntArray, columns: IntArray
    ) -> Mapping[str, AnyArray]:
        """The accepted events with the tokens around them, clipped at their windows' borders."""
        rows = around.rows
        acts = block.around(features, columns, around)  # (C, W)
        return {
            "rows": rows.numbers[columns],
            "acts": acts[:, self.side],
            "documents": rows.documents[columns],
            "positions": rows.positions[columns],
            "answers": rows.answers[columns],
            "tokens": around.tokens.take(columns, axis=0),
            "window_acts": acts,
        }

    def merge(self, other: ExampleTable) -> None:
        """Keep the K largest of both tables' events."""
        mine, theirs = self._arrays, other._arrays
        stay, enter = _contest(self.keys, mine["rows"], other.keys, theirs["rows"])
        enter &= np.isfinite(other.keys)
        to = np.nonzero(~stay)
        source = np.nonzero(enter)
        for name, array in mine.items():
            array[to] = theirs[name][source]

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Take the state that `arrays` holds."""
        for name, array in self._arrays.items():
            array[...] = arrays[name]

    def best_first(self, feature: int) -> IntArray:
        """Slots that hold events of `feature`, largest key first."""
        keys, rows = self.keys[feature], self._rows(np.array([feature]))[0]
        order = np.lexsort((rows, -keys))
        slots: IntArray = order[np.isfinite(keys[order])]
        return slots


def _contest(
    keys: AnyArray,
    rows: AnyArray,
    new_keys: AnyArray,
    new_rows: AnyArray,
) -> tuple[BoolArray, BoolArray]:
    """Which of the old (A, K) stay and which of the new (A, K') enter: the K largest of both.

    Empty old slots come before empty new ones, so as many enter as leave.
    """
    kept = keys.shape[1]
    both = np.hstack([keys, new_keys])
    wins = both >= np.partition(both, -kept, axis=1)[:, -kept, None]
    tied = np.flatnonzero(np.count_nonzero(wins, axis=1) > kept)
    order = np.lexsort((np.hstack([rows[tied], new_rows[tied]]), -both[tied]))
    wins[tied] = False
    wins[tied[:, None], order[:, :kept]] = True
    return wins[:, :kept], wins[:, kept:]


def _strongest(candidates: Candidates, kept: int) -> Candidates:
    """Candidates among which are the `kept` largest of each feature, and few others."""
    pruned = _pruned(candidates, kept)
    crowd = rank_in_group(pruned.features)
    if len(crowd) == 0 or crowd.max() < 2 * kept:
        return pruned
    # Many equal keys. Sorting keeps their order, so the smaller row is first.
    order = np.lexsort((-pruned.keys, pruned.features))
    order = np.sort(order[crowd < kept])
    return Candidates(pruned.features[order], pruned.keys[order], pruned.columns[order])


def _pruned(candidates: Candidates, kept: int) -> Candidates:
    """Drop most of what cannot be among the `kept` largest, by one sort of 64-bit integers."""
    if len(candidates.features) < 4 * kept:
        return candidates
    reversed_key = ~_sortable(candidates.keys) & np.uint64(0xFFFFFFFF)
    packed = (candidates.features.astype(np.uint64) << np.uint64(32)) | reversed_key
    in_order = np.sort(packed)
    features = (in_order >> np.uint64(32)).astype(np.int64)
    last = in_order[rank_in_group(features) == kept - 1]
    limit = np.full(int(features[-1]) + 1, np.iinfo(np.uint64).max, np.uint64)
    limit[(last >> np.uint64(32)).astype(np.int64)] = last
    keep = packed <= limit[candidates.features]
    return Candidates(candidates.features[keep], candidates.keys[keep], candidates.columns[keep])


def _sortable(keys: DoubleArray) -> npt.NDArray[np.uint64]:
    """Keys rounded to float32, as 32-bit integers in the same order."""
    bits = keys.astype(np.float32).view(np.int32)
    ordered = np.where(bits < 0, ~bits, bits | np.int32(-(2**31)))
    return ordered.view(np.uint32).astype(np.uint64)


def rank_in_group(grouped: IntArray) -> IntArray:
    """0, 1, 2, ... within each run of equal values."""
    index = np.arange(len(grouped))
    starts = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]]) if len(grouped) else index
    return index - np.repeat(starts, np.diff(np.r_[starts, len(grouped)]))
