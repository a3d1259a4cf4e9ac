"""Shuffled orders that are pure functions of their keys, on every machine and version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.splitmix64 import splitmix64

if TYPE_CHECKING:
    from ghosttrack_cli.store.format.dtypes import Array


def fold_keys(*keys: int) -> np.uint64:
    """One state from several keys, for instance seed, epoch and block."""
    state = np.uint64(0)
    for key in keys:
        state = np.uint64(splitmix64(state ^ splitmix64(np.uint64(key % 2**64))))
    return state


def permutation(n: int, *keys: int) -> Array:
    """The numbers 0 to n - 1 in an order that depends on n and the keys alone, int64 (n,)."""
    with np.errstate(over="ignore"):
        states = fold_keys(*keys) + np.arange(n, dtype=np.uint64)
    # All keys differ, so the fastest way of sorting gives what a stable one does.
    order: Array = np.argsort(splitmix64(states))
    return order
