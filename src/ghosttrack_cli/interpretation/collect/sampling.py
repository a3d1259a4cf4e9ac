"""Random keys that depend only on what they belong to: (seed, row, feature).

The K largest of uniform keys are an exact uniform sample without replacement, the K largest of
log(u) / weight an exact sample weighted by `weight` (Efraimidis and Spirakis 2006, "Weighted random
sampling with a reservoir"). Because a key never depends on when its event is seen, samples do not
depend on batch size, order or interruptions, and two of them merge by taking the largest again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ghosttrack_cli.splitmix64 import GAMMA, mix

if TYPE_CHECKING:
    from ghosttrack_cli.interpretation.collect.arrays import DoubleArray, HashArray, IntArray

STREAMS = {"uniform": 1, "weighted": 2}
MASK = 2**64 - 1


def counter_hash(
    seed: int,
    stream: Literal["uniform", "weighted"],
    rows: IntArray,
    features: IntArray,
    columns: IntArray | None = None,
) -> HashArray:
    """A hash of (seed, stream, row, feature) for each pair, (E,).

    `columns` (E,) are the places of the pairs' rows in `rows`: one row of many pairs is hashed
    once. Without them, pair i has row i.
    """
    start = np.uint64((seed * GAMMA + STREAMS[stream]) & MASK)
    by_row = mix(mix(rows.astype(np.uint64) + start) + np.uint64(GAMMA))
    by_pair = by_row if columns is None else by_row[columns]
    return mix(by_pair + features.astype(np.uint64) * np.uint64(GAMMA))


def unit_interval(hashes: HashArray) -> DoubleArray:
    """Numbers in the open interval (0, 1), from the upper 53 bits."""
    return ((hashes >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def uniform_keys(
    seed: int, rows: IntArray, features: IntArray, columns: IntArray | None = None
) -> DoubleArray:
    """Keys whose largest are a uniform sample, (E,)."""
    return unit_interval(counter_hash(seed, "uniform", rows, features, columns))


def weighted_keys(
    seed: int,
    rows: IntArray,
    features: IntArray,
    weights: DoubleArray,
    columns: IntArray | None = None,
) -> DoubleArray:
    """Keys whose largest are a sample weighted by `weights` > 0, (E,)."""
    uniform = unit_interval(counter_hash(seed, "weighted", rows, features, columns))
    return np.log(uniform) / weights
