"""Row norms of a layer as sums and counts that do not depend on how the rows arrived.

The histogram is exact: a norm, as float32, falls into the bin of its sign, exponent and first
eight bits of mantissa (256 bins an octave), so its median is known to 0.2 %.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.store.format.identity import JSON

BIN_SHIFT = 15


@dataclass(frozen=True)
class NormSums:
    """Counts and sums over the row norms of some rows; float64 sums are taken chunk by chunk."""

    rows: int = 0
    sum_squares: float = 0.0
    max_norm: float = 0.0
    histogram: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: NormSums) -> NormSums:
        histogram = dict(self.histogram)
        for key, count in other.histogram.items():
            histogram[key] = histogram.get(key, 0) + count
        return NormSums(
            self.rows + other.rows,
            self.sum_squares + other.sum_squares,
            max(self.max_norm, other.max_norm),
            histogram,
        )

    @property
    def median_norm(self) -> float:
        """The median row norm, interpolated inside its bin; 0 without rows."""
        below, half = 0, self.rows / 2
        for key, count in sorted(self.histogram.items()):
            if below + count >= half:
                low, high = bin_edge(key), min(bin_edge(key + 1), self.max_norm)
                return low + (high - low) * (half - below) / count
            below += count
        return 0.0

    @property
    def mean_square_norm(self) -> float:
        """The mean of the squared norms over all rows, outliers included; 0 without rows."""
        return self.sum_squares / self.rows if self.rows else 0.0

    def to_json(self) -> dict[str, JSON]:
        """Bins in rising order, as two lists of equal length."""
        keys = sorted(self.histogram)
        return {
            "rows": self.rows,
            "sum_squares": self.sum_squares,
            "max_norm": self.max_norm,
            "bins": keys,
            "counts": [self.histogram[key] for key in keys],
        }

    @classmethod
    def from_json(cls, document: JSON) -> NormSums:
        """Read what `to_json` gave; ValueError, TypeError or KeyError if it is not that."""
        bins, counts = document["bins"], document["counts"]
        histogram = {int(key): int(count) for key, count in zip(bins, counts, strict=True)}
        if sum(histogram.values()) != document["rows"] or any(n < 1 for n in histogram.values()):
            raise ValueError("the histogram does not count every row once")
        return cls(
            document["rows"],
            float(document["sum_squares"]),
            float(document["max_norm"]),
            histogram,
        )


def bin_edge(key: int) -> float:
    """The lower edge of a bin: the float32 whose upper bits are `key`."""
    edge: float = struct.unpack("<f", struct.pack("<I", key << BIN_SHIFT))[0]
    return edge
