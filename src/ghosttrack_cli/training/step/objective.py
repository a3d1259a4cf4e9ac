"""The loss of an SAE and its gradients, written out: pure functions of tensors.

B batch, D d_model, F d_hidden.

    h = x W_enc + b_enc                 (B, F)
    f = h [h > theta]                   (B, F)
    e = f W_dec + b_dec - x             (B, D)
    loss = mean_b |e|^2 + lambda P(f)

with one of the penalties P of penalties.py, f_j >= 0, a function of L0, the batch mean of
#(f > 0), or a mean over rows of p(f_j); or without one: then entries compete, and theta is the
smallest number for which at most B L0_target entries of a batch fire, or L0_target of each row.

The derivative of a step is estimated with a rectangle of width eps around the threshold, and passed
to the threshold only:

    dloss/dtheta_j = -(1/eps) sum_b K((h_bj - theta_j) / eps) (theta_j dE/df_bj + J_j)

E is the reconstruction error and J_j what the penalty gains when feature j begins to fire with the
value theta_j: the derivative to L0 over B, or lambda p(theta_j) / B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from ghosttrack_cli.penalties import PENALTIES, OfActs, OfL0
from ghosttrack_cli.sae.firing import fires, row_thresholds

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.penalties import Penalty


class Weights(NamedTuple):
    """The five tensors of an SAE, of its gradient, or of one of Adam's moments."""

    W_enc: Tensor  # (D, F)
    b_enc: Tensor  # (F,)
    W_dec: Tensor  # (F, D)
    b_dec: Tensor  # (D,)
    threshold: Tensor  # (F,)


class Figures(NamedTuple):
    """What one batch says about the weights it was given; each of shape ()."""

    recon_loss: Tensor
    sparsity_loss: Tensor
    l0: Tensor


class Gradients(NamedTuple):
    """The result of one backward pass."""

    weights: Weights
    figures: Figures
    fired: Tensor  # (F,) bool: the feature fired in this batch
    cut: Tensor | None = None  # (): what entries of this batch had to exceed where they compete


@dataclass(frozen=True)
class Objective:
    """The constants of the loss; `sparsity` names its penalty, `slope` is the c of tanh."""

    sparsity: str
    target_l0: float
    bandwidth: float
    slope: float

    @property
    def penalty(self) -> Penalty:
        """What keeps few features active."""
        return PENALTIES[self.sparsity]

    @property
    def trains_threshold(self) -> bool:
        """Whether the threshold gets a gradient."""
        return self.penalty.trains_threshold

    @property
    def holds_l0(self) -> bool:
        """Whether L0 is to be `target_l0` in the end."""
        return self.penalty.holds_l0

    @property
    def competes(self) -> bool:
        """Whether entries compete to fire: those of a batch, or those of a row."""
        return self.penalty.fires != "threshold"

    @property
    def competes_by_row(self) -> bool:
        """Whether it is those of a row."""
        return self.penalty.fires == "row"

    @property
    def k(self) -> int:
        """How many entries of a row fire where they compete."""
        return round(self.target_l0)

    @property
    def adds_up(self) -> bool:
        """Whether the penalty is a mean over rows of what each row adds."""
        return isinstance(self.penalty.term, OfActs)

    def firing(self, rows: int) -> int:
        """How many entries of a batch fire where they compete."""
        return round(rows * self.target_l0)


def penalty(objective: Objective, acts: Tensor, l0: Tensor, rows: int) -> Tensor:
    """The value of P, (); `acts` are the activations of the batch, zeros may be left out."""
    match objective.penalty.term:
        case OfL0(value):
            return value(l0, objective.target_l0)
        case OfActs(value):
            return value(acts, objective.slope).sum() / rows
        case _:
            return torch.zeros_like(l0)


def penalty_slope(
    objective: Objective, acts: Tensor, weight: Tensor | float, rows: int
) -> Tensor | float:
    """The derivative of lambda P to the value of one active entry, shaped like `acts` or scalar."""
    match objective.penalty.term:
        case OfActs(_, slope):
            return slope(acts, objective.slope) * (weight / rows)
        case _:
            return 0.0


def penalty_jump(
    objective: Objective, threshold: Tensor, l0: Tensor, weight: Tensor | float, rows: int
) -> Tensor:
    """J: what lambda P gains when one entry begins to fire, () or (F,)."""
    match objective.penalty.term:
        case OfL0(_, gain):
            return gain(l0, objective.target_l0, weight, rows)
        case OfActs(value):
            return value(threshold, objective.slope) * (weight / rows)
        case _:
            return torch.zeros_like(l0)


def batch_cut(h: Tensor, count: int) -> Tensor:
    """The value that exactly `count` of the entries exceed, if so many are positive and none tie.

    `h` has any shape and more than `count` entries; the cut is () and not negative.
    """
    return h.flatten().topk(count + 1, sorted=False).values.min().clamp(min=0.0)


def firing_thresholds(objective: Objective, weights: Weights, h: Tensor) -> Tensor:
    """What entries of a batch h (B, F) must exceed to fire: (F,), (), or (B, 1) of each row."""
    match objective.penalty.fires:
        case "row":
            return row_thresholds(h, objective.k)
        case "batch":
            return batch_cut(h, objective.firing(len(h)))
        case _:
            return weights.threshold


def threshold_gradient(
    objective: Objective,
    threshold: Tensor,
    error_slopes: Tensor,
    entries: Tensor,
    jump: Tensor,
) -> Tensor:
    """The estimator above, (F,).

    `error_slopes` (F,) holds the sums of dE/df over the entries inside the window and `entries`
    (F,) their number.
    """
    return (threshold * error_slopes + jump * entries) / -objective.bandwidth


def dense_gradients(
    weights: Weights,
    x: Tensor,
    weight: Tensor | float,
    objective: Objective,
    products: torch.dtype = torch.float32,
    h: Tensor | None = None,
) -> Gradients:
    """Loss and gradients of one batch with five dense matrix products.

    `x` (B, D) is in training units, `weight` is lambda; the products are computed in the dtype
    `products` and everything else in float32. `h` (B, F) is given where it is known already.
    """
    rows = x.shape[0]
    x_low, W_enc, W_dec = x.to(products), weights.W_enc.to(products), weights.W_dec.to(products)
    if h is None:
        h = (x_low @ W_enc).float() + weights.b_enc  # (B, F)
    thresholds = firing_thresholds(objective, weights, h)
    active = fires(h, thresholds)  # (B, F)
    acts = torch.where(active, h, 0.0)  # (B, F)
    acts_low = acts.to(products)
    error = (acts_low @ W_dec).float() + (weights.b_dec - x)  # (B, D)
    firings = active.sum(dim=0, dtype=torch.float32)  # (F,)
    l0 = firings.sum() / rows
    figures = Figures(
        recon_loss=error.square().sum() / rows,
        sparsity_loss=weight * penalty(objective, acts, l0, rows),
        l0=l0,
    )

    error = error * (2 / rows)  # (B, D) the derivative of E to x_hat
    error_low = error.to(products)
    slopes = (error_low @ W_dec.T).float()  # (B, F) dE/df
    threshold = torch.zeros_like(weights.threshold)
    if objective.trains_threshold:
        window = (h - weights.threshold).abs() < objective.bandwidth / 2  # (B, F)
        threshold = threshold_gradient(
            objective,
            weights.threshold,
            torch.where(window, slopes, 0.0).sum(dim=0),
            window.sum(dim=0, dtype=torch.float32),
            penalty_jump(objective, weights.threshold, l0, weight, rows),
        )
    slopes = slopes + penalty_slope(objective, acts, weight, rows)
    slopes = torch.where(active, slopes, 0.0)  # (B, F) dloss/dh
    gradient = Weights(
        W_enc=(x_low.T @ slopes.to(products)).float(),
        b_enc=slopes.sum(dim=0),
        W_dec=project((acts_low.T @ error_low).float(), weights.W_dec),
        b_dec=error.sum(dim=0),
        threshold=threshold,
    )
    cut = thresholds.mean() if objective.competes else None
    return Gradients(gradient, figures, firings > 0, cut)


def project(gradient: Tensor, W_dec: Tensor) -> Tensor:
    """Take out of each row, (F, D), what would only change the length of the unit decoder row."""
    return gradient - (gradient * W_dec).sum(dim=1, keepdim=True) * W_dec


def tanh_slope(d_model: int) -> float:
    """The c of tanh: 4 where E|x|^2 = D (Anthropic), so 4 sqrt(D) where E|x|^2 = 1."""
    return 4.0 * math.sqrt(d_model)
