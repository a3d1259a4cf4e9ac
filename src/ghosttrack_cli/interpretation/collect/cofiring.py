"""On how many rows a feature fires together with each of its decoder neighbours.

F d_hidden, P neighbours a feature, N rows, E events. All F x F pairs would be billions; the P
neighbours are known before the pass, so exactly those are counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ghosttrack_cli.interpretation.collect.arrays import AnyArray, IntArray
    from ghosttrack_cli.interpretation.collect.events import Events

EVENTS_AT_ONCE = 1 << 19


class CoFiring:
    """Counts for the pairs (feature, neighbours[feature, p]); -1 means no neighbour."""

    def __init__(self, neighbours: IntArray) -> None:
        self.neighbours = neighbours  # (F, P)
        self.counts = np.zeros(neighbours.shape, np.int64)

    def update(self, parts: Sequence[Events], n_rows: int) -> None:
        """Add the counted events of a batch, one part for each block, of `n_rows` rows."""
        fires = self._bits(parts, n_rows)
        # Where the bits of each neighbour begin; -1, no neighbour, is the last, which never fires.
        starts = self.neighbours % len(fires) * fires.shape[1]  # (F, P)
        for part in parts:
            for start in range(0, len(part.features), EVENTS_AT_ONCE):
                piece = slice(start, start + EVENTS_AT_ONCE)
                self._count(part.features[piece], part.columns[piece], starts, fires.reshape(-1))

    def _bits(self, parts: Sequence[Events], n_rows: int) -> npt.NDArray[np.uint8]:
        """One bit for each feature and row, (F + 1, N / 8); the last feature never fires."""
        fires = np.zeros((len(self.neighbours) + 1, n_rows // 8 + 1), np.uint8)
        for part in parts:
            bits = np.left_shift(1, part.columns & 7).astype(np.uint8)
            np.bitwise_or.at(fires, (part.features, part.columns >> 3), bits)
        return fires

    def _count(
        self,
        features: IntArray,
        columns: IntArray,
        starts: IntArray,
        fires: npt.NDArray[np.uint8],
    ) -> None:
        byte = fires.take(starts[features] + (columns >> 3)[:, None])  # (E, P)
        both = (byte >> (columns & 7).astype(np.uint8)[:, None]) & 1
        groups = np.flatnonzero(np.diff(features, prepend=-1))
        self.counts[features[groups]] += np.add.reduceat(both, groups, axis=0, dtype=np.int64)

    def merge(self, other: CoFiring) -> None:
        """Add what another collector has seen."""
        self.counts += other.counts

    def arrays(self) -> dict[str, AnyArray]:
        """The state."""
        return {"counts": self.counts}

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Take the state that `arrays` gave."""
        self.counts[...] = arrays["counts"]
