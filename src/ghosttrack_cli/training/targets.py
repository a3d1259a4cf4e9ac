"""What a training aims at, and what is good there: L0, its accepted band, and FVU.

D d_model, F d_hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings

DEFAULT_L0 = 75.0
BAND_BELOW, BAND_ABOVE = 2 / 3, 4 / 3
"""Of the target: the accepted band where none is set, 50 to 100 around 75."""
GOOD_FVU, GOOD_WIDTH, L0_POWER, WIDTH_POWER = 0.62, 4, -0.35, -0.16


@dataclass(frozen=True)
class Band:
    """The L0 that is accepted."""

    low: float
    high: float

    def has(self, l0: float) -> bool:
        """Whether an L0 lies in it."""
        return self.low <= l0 <= self.high


def target_l0(sae: SAESettings, training: SAETrainingSettings) -> float:
    """The L0 that is aimed at: as set, or in the accepted band where that is set, or 75."""
    if sae.target_l0 is not None:
        return sae.target_l0
    low, high = training.target_sparsity_min, training.target_sparsity_max
    if low is not None and high is not None:
        return (low + high) / 2
    if low is not None:
        return max(DEFAULT_L0, low / BAND_BELOW)
    return DEFAULT_L0 if high is None else min(DEFAULT_L0, high / BAND_ABOVE)


def accepted_band(sae: SAESettings, training: SAETrainingSettings) -> Band:
    """The L0 that is accepted: as set, or from two thirds to four thirds of the target."""
    target = target_l0(sae, training)
    low, high = training.target_sparsity_min, training.target_sparsity_max
    return Band(
        BAND_BELOW * target if low is None else low,
        BAND_ABOVE * target if high is None else high,
    )


def good_fvu(l0: float, d_model: int, d_hidden: int) -> float:
    """The FVU that every layer which was measured stayed below, at this L0 and width.

        0.62 L0^-0.35 (F / 4D)^-0.16

    The powers are those by which FVU fell in trainings that differ in L0 or F alone, the factor
    makes the worst layer of two models the bound (docs/recipe.md, "What is good").
    """
    width: float = (d_hidden / (GOOD_WIDTH * d_model)) ** WIDTH_POWER
    return float(min(1.0, GOOD_FVU * l0**L0_POWER * width))
