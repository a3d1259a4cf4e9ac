"""One factor on all thresholds at the end of training, so that L0 is the one that was asked.

B batch, D d_model, F d_hidden.

Training holds L0 on the rows it trains on; on other rows it ends higher, because features that
learned their training rows fire less sharply elsewhere (7 % in the demo). So the factor is found on
held-out documents. It is one number, and the figures that are reported do not rest on it: the
documents fall into eight folds, and each is measured with the factor that the other seven gave.

Under the factor c a feature fires where h > c theta, that is where h / theta > c: one pass that
counts the ratios in fine bins answers for every c at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ghosttrack_cli.training.measure.evaluate import blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from ghosttrack_cli.sae.protocol import SAE

LOWEST, HIGHEST, BINS = 0.125, 8.0, 2**15
TOLERANCE = 0.02


@dataclass(frozen=True)
class Calibration:
    """The factor found, and L0 without and with it over the `rows` rows it was found on."""

    factor: float
    rows: int
    l0_before: float
    l0_after: float

    def reached(self, target_l0: float) -> bool:
        """Whether L0 is within 2 % of the target."""
        return abs(self.l0_after - target_l0) <= TOLERANCE * target_l0


@dataclass(frozen=True)
class Ratios:
    """Counts of h / theta in bins over some rows; two of them add up."""

    rows: int
    counts: Tensor  # (BINS + 2,) int64

    def __add__(self, other: Ratios) -> Ratios:
        return Ratios(self.rows + other.rows, self.counts + other.counts)

    @classmethod
    def none(cls) -> Ratios:
        """Of no rows."""
        return cls(0, torch.zeros(BINS + 2, dtype=torch.int64))

    def without(self, other: Ratios) -> Ratios:
        """Of these rows but those of `other`, which are among them."""
        return Ratios(self.rows - other.rows, self.counts - other.counts)

    def calibration(self, target_l0: float) -> Calibration:
        """The factor between 1/8 and 8 whose L0 is nearest to the target."""
        # Entry k of `l0` belongs to the factor edges[k]: the ratios in the bins from k + 1 on.
        l0 = self.counts.flip(0).cumsum(0).flip(0)[1:].double() / max(1, self.rows)
        low, high = math.log2(LOWEST), math.log2(HIGHEST)
        edges = torch.logspace(low, high, BINS + 1, 2, dtype=torch.float64)  # (BINS + 1,)
        best = int((l0 - target_l0).abs().argmin())
        before = int((edges - 1).abs().argmin())
        return Calibration(edges[best].item(), self.rows, l0[before].item(), l0[best].item())


@torch.no_grad()
def count_ratios(sae: SAE, batches: Iterable[Tensor]) -> Ratios:
    """Count the ratios of raw rows, (B, D) each, under a folded SAE with thresholds of its own."""
    assert sae.threshold is not None, "only thresholds can be calibrated"
    rows = 0
    counts = torch.zeros(BINS + 2, dtype=torch.int64, device=sae.device)
    for x in blocks(batches, sae):
        counts += ratio_counts(sae.pre_acts(x), sae.threshold)
        rows += x.shape[0]
    return Ratios(rows, counts.cpu())


def ratio_counts(h: Tensor, threshold: Tensor) -> Tensor:
    """Counts of h / theta over all entries (B, F): below LOWEST, in BINS octave parts, above.

    A threshold of 0 gives an infinite ratio, which no factor changes.
    """
    ratios = (h / threshold)[(h > LOWEST * threshold) & (h > 0)]
    place = (ratios / LOWEST).log2() * (BINS / math.log2(HIGHEST / LOWEST))
    bins = place.clamp(min=0, max=BINS).long() + 1
    return torch.bincount(bins, minlength=BINS + 2)
