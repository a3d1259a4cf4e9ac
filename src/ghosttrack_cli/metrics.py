"""How good an SAE is: sums over batches in float64, then each definition once.

B batch, D d_model, F d_hidden.

A mean of per-batch ratios is another number than the ratio of the sums; everything here adds up
first and divides at the end, so that the result does not depend on the batch size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

DENSE_RATES = (0.01, 0.1)


@dataclass(frozen=True)
class ReconstructionMetrics:
    """Means over `rows` rows.

    l0          E #(f > 0)
    l1          E sum f, in the units of the activations
    recon_loss  E |x - x_hat|^2 * scale^2: the share of energy not explained
    fvu         E |x - x_hat|^2 / (E |x|^2 - |E x|^2); explained variance is 1 - fvu
    mse         E |x - x_hat|^2 / D, raw
    cosine      E cos(x, x_hat), 0 where either is zero
    l2_ratio    E |x_hat| / |x| over rows that are not zero
    bias        relative reconstruction bias, E |x_hat|^2 / E x.x_hat
    """

    rows: int
    l0: float
    l1: float
    recon_loss: float
    fvu: float
    mse: float
    cosine: float
    l2_ratio: float
    bias: float

    @property
    def explained_variance(self) -> float:
        """1 - fvu."""
        return 1.0 - self.fvu


class ReconstructionSums:
    """Adds up batches of x, x_hat and acts; `result` divides.

    `scale` is the one of training, 1 / sqrt(E |x|^2) over training rows; without it the rows
    themselves give it.
    """

    def __init__(self, d_model: int, *, scale: float | None = None) -> None:
        self.d_model = d_model
        self.scale = scale
        self.rows = 0
        self.nonzero_rows = 0
        self.mean_sum = torch.zeros(d_model, dtype=torch.float64)
        self.l0 = self.l1 = self.error = self.energy = 0.0
        self.cosine = self.ratio = self.recon_energy = self.product = 0.0

    def update(self, x: Tensor, recon: Tensor, acts: Tensor) -> None:
        """Add a batch: x (B, D) and its reconstruction (B, D), acts (B, F)."""
        self.update_counted(x, recon, (acts > 0).sum(dim=1), acts.sum(dim=1))

    def update_counted(self, x: Tensor, recon: Tensor, l0: Tensor, l1: Tensor) -> None:
        """Add a batch whose rows' l0 (B,) and l1 (B,) are already counted."""
        x, recon = x.float(), recon.float()
        energy = _row_sums(x, x)  # (B,)
        recon_energy = _row_sums(recon, recon)  # (B,)
        product = _row_sums(x, recon)  # (B,)
        norms = (energy * recon_energy).sqrt()
        self.rows += x.shape[0]
        self.nonzero_rows += int((energy > 0).sum())
        self.mean_sum += x.sum(dim=0, dtype=torch.float64).cpu()
        self.l0 += l0.double().sum().item()
        self.l1 += l1.double().sum().item()
        self.error += _row_sums(x - recon, x - recon).sum().item()
        self.energy += energy.sum().item()
        self.recon_energy += recon_energy.sum().item()
        self.product += product.sum().item()
        self.cosine += torch.where(norms > 0, product / norms, 0).sum().item()
        self.ratio += torch.where(energy > 0, (recon_energy / energy).sqrt(), 0).sum().item()

    def merge(self, other: ReconstructionSums) -> None:
        """Add what another counter has seen."""
        for name in ("rows", "nonzero_rows", "mean_sum", "l0", "l1", "error", "energy"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("cosine", "ratio", "recon_energy", "product"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def result(self) -> ReconstructionMetrics:
        """The metrics of all rows so far; at least one is needed."""
        assert self.rows > 0, "no rows were counted"
        n = self.rows
        error, energy = self.error / n, self.energy / n
        variance = energy - (self.mean_sum / n).square().sum().item()
        scale_squared = 1 / energy if self.scale is None and energy else (self.scale or 1.0) ** 2
        return ReconstructionMetrics(
            rows=n,
            l0=self.l0 / n,
            l1=self.l1 / n,
            recon_loss=error * scale_squared,
            fvu=_ratio(error, variance),
            mse=error / self.d_model,
            cosine=self.cosine / n,
            l2_ratio=_ratio(self.ratio, self.nonzero_rows),
            bias=_ratio(self.recon_energy, self.product),
        )


def _row_sums(a: Tensor, b: Tensor) -> Tensor:
    """Dot products of the rows, (B, D) to (B,): single precision within a row, double across."""
    return (a * b).sum(dim=-1).double()


def _ratio(numerator: float, denominator: float) -> float:
    """A quotient that is 0 where nothing is to be explained and nothing was missed."""
    if denominator > 0:
        return numerator / denominator
    return 0.0 if numerator == 0 else math.inf


@dataclass(frozen=True)
class FiringMetrics:
    """How often features fire in `rows` rows.

    `dead` features fired in none of them, so with 95 % confidence each fires in less than
    `dead_bound` = 3 / rows of all rows; `dense_1` and `dense_10` are the shares of features that
    fire in more than 1 % and 10 % of the rows.
    """

    rows: int
    features: int
    dead: int
    dead_fraction: float
    dead_bound: float
    dense_1: float
    dense_10: float


class FiringCounts:
    """Counts the rows in which each feature fires."""

    def __init__(self, d_hidden: int, device: str | torch.device = "cpu") -> None:
        self.rows = 0
        self.counts = torch.zeros(d_hidden, dtype=torch.int64, device=device)  # (F,)

    def update(self, fires: Tensor) -> None:
        """Add a batch: which features fire in which rows, bool (B, F)."""
        self.rows += fires.shape[0]
        self.counts += fires.sum(dim=0, dtype=torch.int32)

    def rates(self) -> Tensor:
        """The share of rows in which each feature fires, (F,) float64."""
        return self.counts.double() / max(1, self.rows)

    def result(self) -> FiringMetrics:
        """The shares of dead and dense features."""
        features, dead = self.counts.numel(), int((self.counts == 0).sum())
        rates = self.rates()
        dense = [(rates > rate).double().mean().item() for rate in DENSE_RATES]
        return FiringMetrics(
            rows=self.rows,
            features=features,
            dead=dead,
            dead_fraction=dead / features,
            dead_bound=min(1.0, 3 / self.rows) if self.rows else 1.0,
            dense_1=dense[0],
            dense_10=dense[1],
        )
