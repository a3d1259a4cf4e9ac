"""Which tokens each feature fires on: Misra-Gries counters beside exact counts of all tokens.

F d_hidden, V vocabulary, K counters a feature. Misra and Gries 1982, "Finding repeated elements",
in the mergeable form of Agarwal et al. 2012, "Mergeable summaries": a summary of n firings holds
each token's count to within n / (K + 1), never too high, and exactly while at most K tokens occur.
Summaries are reduced at fixed rows, not at batches, so they do not depend on the batch size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.interpretation.collect.example_table import rank_in_group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ghosttrack_cli.interpretation.collect.arrays import AnyArray, IntArray
    from ghosttrack_cli.interpretation.collect.events import Events, Rows

COUNTERS = 32
ROWS_A_SPAN = 16_384
COMPACT_ABOVE = 1 << 22
FREE = -1
COUNT_BITS = 40
"""No count reaches 2**40, so a feature and a count sort as one integer."""


@dataclass(frozen=True)
class Counts:
    """How often features fired on tokens: three arrays of equal length."""

    features: IntArray
    tokens: IntArray
    counts: IntArray

    def __len__(self) -> int:
        return len(self.features)


class FiringTokens:
    """Misra-Gries counters of F features, and exact counts of all tokens seen."""

    def __init__(self, d_hidden: int, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.rows = 0
        self.unigrams = np.zeros(vocabulary, np.int64)
        self.tokens = np.full((d_hidden, COUNTERS), FREE, np.int32)
        self.counts = np.zeros((d_hidden, COUNTERS), np.int64)
        self.errors = np.zeros(d_hidden, np.int64)
        self._pending: dict[int, list[Counts]] = {}

    def update(self, events: Events, rows: Rows) -> None:
        """Note the counted events of a block; `end_batch` follows the batch's last block."""
        tokens = rows.token_ids[events.columns]
        spans = (self.rows + events.columns) // ROWS_A_SPAN
        for span in np.unique(spans).tolist():
            here = spans == span
            counts = self._tally(events.features[here], tokens[here])
            self._pending.setdefault(span, []).append(counts)

    def end_batch(self, rows: Rows) -> None:
        """Count the batch's tokens and reduce the spans of rows that are over."""
        np.add.at(self.unigrams, rows.token_ids[rows.counted], 1)
        self.rows += len(rows)
        for span in sorted(self._pending):
            if span < self.rows // ROWS_A_SPAN:
                self._reduce(self._sum(self._pending.pop(span)))
            elif sum(map(len, self._pending[span])) > COMPACT_ABOVE:
                self._pending[span] = [self._sum(self._pending[span])]

    def finish(self) -> None:
        """Reduce the last span, which is not full; nothing may be added afterwards."""
        for span in sorted(self._pending):
            self._reduce(self._sum(self._pending.pop(span)))

    def merge(self, other: FiringTokens) -> None:
        """Add what another finished counter has seen; both are finished."""
        features, slots = np.nonzero(other.counts)
        counts = other.counts[features, slots]
        self._reduce(Counts(features, other.tokens[features, slots].astype(np.int64), counts))
        self.errors += other.errors
        self.unigrams += other.unigrams
        self.rows += other.rows

    def _tally(self, features: IntArray, tokens: IntArray) -> Counts:
        """How often each pair occurs, by feature, then token."""
        keys = np.sort(features * self.vocabulary + tokens)
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        counts = np.diff(starts, append=len(keys))
        return Counts(*np.divmod(keys[starts], self.vocabulary), counts)

    def _sum(self, parts: Sequence[Counts]) -> Counts:
        """All parts in one, by feature, then token, each pair once."""
        keys = np.concatenate([part.features * self.vocabulary + part.tokens for part in parts])
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], np.concatenate([part.counts for part in parts])[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        features, tokens = np.divmod(keys[starts], self.vocabulary)
        return Counts(features, tokens, np.add.reduceat(counts, starts) if len(starts) else counts)

    def _reduce(self, new: Counts) -> None:
        """Merge `new` into the counters: subtract the (K + 1)-th count, keep what is above 0."""
        affected = np.unique(new.features)
        everything = self._sum([self._held(affected), new])
        features, tokens, counts = _largest_first(everything)
        rank = rank_in_group(features)
        surplus = np.zeros(len(self.errors), np.int64)
        surplus[features[rank == COUNTERS]] = counts[rank == COUNTERS]
        counts = counts - surplus[features]
        kept = (rank < COUNTERS) & (counts > 0)
        self.errors += surplus
        self.tokens[affected], self.counts[affected] = FREE, 0
        self.tokens[features[kept], rank[kept]] = tokens[kept]
        self.counts[features[kept], rank[kept]] = counts[kept]

    def _held(self, features: IntArray) -> Counts:
        index, slots = np.nonzero(self.counts[features])
        held = features[index]
        tokens = self.tokens[held, slots].astype(np.int64)
        return Counts(held, tokens, self.counts[held, slots])

    def arrays(self) -> dict[str, AnyArray]:
        """The state but for `rows`; what is pending is in `pending_*`."""
        names = ("unigrams", "tokens", "counts", "errors")
        state: dict[str, AnyArray] = {name: getattr(self, name) for name in names}
        pending = [(span, self._sum(parts)) for span, parts in sorted(self._pending.items())]
        empty = np.zeros(0, np.int64)
        for name in ("features", "tokens", "counts"):
            parts = [getattr(counts, name) for _, counts in pending]
            state[f"pending_{name}"] = np.concatenate([empty, *parts])
        spans = [np.full(len(counts), span) for span, counts in pending]
        return state | {"pending_spans": np.concatenate([empty, *spans])}

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Take the state that `arrays` gave."""
        for name in ("unigrams", "tokens", "counts", "errors"):
            getattr(self, name)[...] = arrays[name]
        spans = arrays["pending_spans"]
        parts = [arrays[f"pending_{name}"] for name in ("features", "tokens", "counts")]
        self._pending = {
            int(span): [Counts(*(part[spans == span] for part in parts))]
            for span in np.unique(spans)
        }


def _largest_first(counts: Counts) -> tuple[IntArray, IntArray, IntArray]:
    """By feature, then count downwards, then token; `counts` come by feature, then token."""
    order = np.argsort((counts.features << COUNT_BITS) - counts.counts, kind="stable")
    return counts.features[order], counts.tokens[order], counts.counts[order]
