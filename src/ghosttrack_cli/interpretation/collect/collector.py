"""Everything about all features of one SAE in one pass over its rows.

N rows of a batch, E events, F d_hidden. Memory does not grow with the number of rows. The result is
a function of the rows alone: not of the batch size, and not of where a run was interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.interpretation.collect.cofiring import CoFiring
from ghosttrack_cli.interpretation.collect.contrast import ContrastSums
from ghosttrack_cli.interpretation.collect.events import Surroundings
from ghosttrack_cli.interpretation.collect.example_table import Candidates, ExampleTable
from ghosttrack_cli.interpretation.collect.firing_tokens import FiringTokens
from ghosttrack_cli.interpretation.collect.moments import Moments
from ghosttrack_cli.interpretation.collect.sampling import uniform_keys, weighted_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ghosttrack_cli.interpretation.collect.arrays import AnyArray, DoubleArray, IntArray
    from ghosttrack_cli.interpretation.collect.events import Block, Events, Rows

TABLES = ("top", "uniform", "weighted")


@dataclass(frozen=True)
class CollectorShape:
    """What fixes the size of a collector and which events its samples take.

    `kept` examples in each of three tables, `side` tokens copied on either side of an event.
    """

    d_hidden: int
    vocabulary: int
    kept: int
    side: int
    seed: int


class Collector:
    """The state of one layer's pass: fixed in size, saved, restored and merged part by part."""

    def __init__(self, shape: CollectorShape, neighbours: IntArray) -> None:
        self.shape = shape
        self.moments = Moments(shape.d_hidden)
        self.tables = {
            name: ExampleTable(shape.d_hidden, shape.kept, shape.side) for name in TABLES
        }
        self.tokens = FiringTokens(shape.d_hidden, shape.vocabulary)
        self.cofiring = CoFiring(neighbours)
        self.contrast = ContrastSums(shape.d_hidden)
        self._surroundings: Surroundings | None = None

    def take(self, rows: Rows, block: Block, events: Events) -> Events:
        """Take in one block of a batch and all its events; return those on counted rows."""
        counted = events.where(rows.counted[events.columns])
        self.moments.update(counted, rows)
        self.tokens.update(counted, rows)
        self.contrast.update(counted, rows)
        self._sample(counted, block, self._around(rows))
        return counted

    def end_batch(self, rows: Rows, taken: Sequence[Events]) -> None:
        """Close a batch; `taken` is what `take` returned for its blocks, which cover all features.

        Blocks come one after the other, so that only one lies in memory.
        """
        self._surroundings = None
        self.moments.count_rows(rows)
        self.contrast.count_rows(rows)
        self.tokens.end_batch(rows)
        self.cofiring.update(taken, len(rows))

    def finish(self) -> None:
        """Close the pass; nothing may be taken in afterwards, but merging goes on."""
        self.tokens.finish()

    def _around(self, rows: Rows) -> Surroundings:
        """The surroundings of a batch's rows, made once for all of its blocks."""
        if self._surroundings is None or self._surroundings.rows is not rows:
            self._surroundings = Surroundings(rows, self.shape.side)
        return self._surroundings

    def _sample(self, events: Events, block: Block, around: Surroundings) -> None:
        features, columns, seed = events.features, events.columns, self.shape.seed
        acts, numbers = events.values.astype(np.float64), around.rows.numbers
        keys = {
            "top": acts,
            "uniform": uniform_keys(seed, numbers, features, columns),
            "weighted": weighted_keys(seed, numbers, features, acts, columns),
        }
        for name, table in self.tables.items():
            offered = _above(table, block, events, keys[name])
            offered = _peaks(offered, around.rows) if name == "top" else offered
            table.offer(offered, block, around)

    def merge(self, other: Collector) -> None:
        """Add a finished collector of other rows to this finished one."""
        self.moments.merge(other.moments)
        self.tokens.merge(other.tokens)
        self.cofiring.merge(other.cofiring)
        self.contrast.merge(other.contrast)
        for name, table in self.tables.items():
            table.merge(other.tables[name])

    def counters(self) -> dict[str, int]:
        """The scalar part of the state, for JSON."""
        return {
            "rows": self.moments.rows,
            "windows_seen": self.moments.windows_seen,
            "token_rows": self.tokens.rows,
            "questions": self.contrast.questions,
        }

    def arrays(self) -> dict[str, AnyArray]:
        """The rest of the state, for a tensor file."""
        return {
            f"{part}.{name}": array
            for part, owner in self._parts().items()
            for name, array in owner.arrays().items()
        }

    def restore(self, counters: Mapping[str, int], arrays: Mapping[str, AnyArray]) -> None:
        """Take the state that `counters` and `arrays` gave."""
        self.moments.rows = counters["rows"]
        self.moments.windows_seen = counters["windows_seen"]
        self.tokens.rows = counters["token_rows"]
        self.contrast.questions = counters["questions"]
        for part, owner in self._parts().items():
            owner.restore({name: arrays[f"{part}.{name}"] for name in owner.arrays()})

    def _parts(self) -> dict[str, Moments | ExampleTable | FiringTokens | CoFiring | ContrastSums]:
        return {
            **self.tables,
            "moments": self.moments,
            "tokens": self.tokens,
            "cofiring": self.cofiring,
            "contrast": self.contrast,
        }


def _above(table: ExampleTable, block: Block, events: Events, keys: DoubleArray) -> Candidates:
    """Events that the table can still take."""
    there = slice(block.first, block.first + block.pre_acts.shape[0])
    above = keys > table.thresholds(there)[events.features - block.first]
    return Candidates(events.features[above], keys[above], events.columns[above])


def _peaks(candidates: Candidates, rows: Rows) -> Candidates:
    """The first largest of each feature and window; candidates come by feature, then row."""
    features, columns = candidates.features, candidates.columns
    if len(features) == 0:
        return candidates
    windows = rows.windows[columns]
    new = np.r_[True, (features[1:] != features[:-1]) | (windows[1:] != windows[:-1])]
    starts = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    peaks = np.maximum.reduceat(candidates.keys, starts)
    at_peak = np.flatnonzero(candidates.keys == peaks[group])
    first = at_peak[np.diff(group[at_peak], prepend=-1) > 0]
    return Candidates(features[first], candidates.keys[first], columns[first])
