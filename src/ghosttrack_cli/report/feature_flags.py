"""The flags of features: what is worth knowing about one at a glance, and what each flag means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable

Flag = Literal["dead", "rare", "dense", "single-token", "position-bound", "duplicate"]
FLAGS: Final[tuple[Flag, ...]] = get_args(Flag)
"""In the order of their bits: bit i of `FeatureIndex.flags` is FLAGS[i]. A new one comes last."""

MEANINGS: Final[dict[Flag, str]] = {
    "dead": "never fired on these texts",
    "rare": "fires so rarely that its examples may mislead",
    "dense": "fires on a large share of all tokens",
    "single-token": "nearly always fires on one token",
    "position-bound": "nearly always fires at the same positions in the window",
    "duplicate": "another feature's decoder points the same way (cosine above 0.9)",
}
"""As the page says them."""


def flag_bits(flags: Iterable[Flag]) -> int:
    """The flags as one number: bit i stands for FLAGS[i].

    >>> flag_bits(["dead", "dense"])
    5
    """
    return sum(1 << FLAGS.index(flag) for flag in flags)


def flag_names(bits: int) -> list[Flag]:
    """The flags behind the bits of an index entry.

    >>> flag_names(5)
    ['dead', 'dense']
    """
    return [name for place, name in enumerate(FLAGS) if bits >> place & 1]


def counts_name(flag: Flag) -> str:
    """The field of `FeatureCounts` that holds how many features have a flag.

    >>> counts_name("single-token")
    'single_token'
    """
    return flag.replace("-", "_")
