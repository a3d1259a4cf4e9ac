"""SplitMix64: hashes of numbers that are the same on every machine and version.

Steele, Lea and Flood: Fast splittable pseudorandom number generators (OOPSLA 2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Hashes: TypeAlias = npt.NDArray[np.uint64]

GAMMA = 0x9E3779B97F4A7C15
"""What the generator's state grows by at each step: 2**64 over the golden ratio, odd."""


def mix(states: Hashes) -> Hashes:
    """The generator's output at each state: a bijection of 64 bits."""
    z = (states ^ (states >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def splitmix64(states: Hashes | np.uint64) -> Hashes:
    """One step of the generator from each state, then its output: a bijection of 64 bits."""
    with np.errstate(over="ignore"):
        return mix(np.asarray(states, np.uint64) + np.uint64(GAMMA))
