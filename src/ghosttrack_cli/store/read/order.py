"""Shuffled orders that are pure functions of their keys, on every machine and version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ghosttrack_cli.store.format.dtypes import Array

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def splitmix64(values: Array | np.uint64) -> Array:
    """One step of the SplitMix64 generator from each state, uint64: a bijection.

    Steele, Lea, Flood: Fast splittable pseudorandom number generators (OOPSLA 2014).
    """
    with np.errstate(over="ignore"):
        mixed = np.asarray(values, np.uint64) + _GAMMA
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
        return mixed ^ (mixed >> np.uint64(31))


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
