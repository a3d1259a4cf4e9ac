"""Dense gradients of wide SAEs on the CPU, a block of rows at a time.

B batch, D d_model, F d_hidden, b rows of a block.

`dense_gradients` needs four to five (B, F) temporaries: 5 GB at B = 4096 and F = 65,536. All that
is summed over rows can be summed over blocks of them; only L0, which the threshold's gradient
needs, is known at the end, where nothing of size (b, F) takes part any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ghosttrack_cli.sae.firing import fires
from ghosttrack_cli.training.step.objective import (
    Figures,
    Gradients,
    Weights,
    batch_cut,
    firing_thresholds,
    penalty,
    penalty_jump,
    penalty_slope,
    threshold_gradient,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.training.step.objective import Objective

PROJECTED_ENTRIES = 2**22


@dataclass
class Sums:
    """What the blocks add up to; the two matrices are (F, D), feature by feature."""

    W_enc: Tensor  # (F, D)
    b_enc: Tensor  # (F,)
    W_dec: Tensor  # (F, D)
    b_dec: Tensor  # (D,)
    slopes: Tensor  # (F,) dE/df inside the window
    window: Tensor  # (F,) entries inside the window
    active: Tensor  # (F,) int64: rows in which the feature fires
    error: Tensor  # () |e|^2
    penalty: Tensor  # () P of the modes that add up over rows
    cuts: Tensor  # () what entries had to exceed, summed over rows, where they compete

    @classmethod
    def none(cls, weights: Weights) -> Sums:
        """Of no rows."""
        per_feature = torch.zeros_like(weights.b_enc)
        return cls(
            W_enc=torch.zeros_like(weights.W_dec),
            b_enc=per_feature.clone(),
            W_dec=torch.zeros_like(weights.W_dec),
            b_dec=torch.zeros_like(weights.b_dec),
            slopes=per_feature.clone(),
            window=per_feature.clone(),
            active=per_feature.long(),
            error=torch.zeros(()),
            penalty=torch.zeros(()),
            cuts=torch.zeros(()),
        )


def blockwise_gradients(
    weights: Weights, x: Tensor, weight: float, objective: Objective, h: Tensor
) -> Gradients:
    """What `dense_gradients` gives for x (B, D), in blocks of b rows; `h` (b, F) is overwritten."""
    B = len(x)
    cut = _cut(weights, x, objective, h)
    sums = Sums.none(weights)
    for part in torch.split(x, len(h)):
        _add_block(sums, weights, part, weight, objective, B, h[: len(part)], cut)
    l0 = sums.active.sum(dtype=torch.float32) / B
    value = sums.penalty if objective.adds_up else penalty(objective, sums.penalty, l0, B)
    if objective.competes_by_row:
        cut = sums.cuts / B
    gradient = Weights(
        W_enc=sums.W_enc.T,
        b_enc=sums.b_enc,
        W_dec=project_in_place(sums.W_dec, weights.W_dec),
        b_dec=sums.b_dec,
        threshold=_threshold(sums, weights, objective, l0, weight, B),
    )
    figures = Figures(recon_loss=sums.error / B, sparsity_loss=weight * value, l0=l0)
    return Gradients(gradient, figures, sums.active > 0, cut)


def _threshold(
    sums: Sums, weights: Weights, objective: Objective, l0: Tensor, weight: float, rows: int
) -> Tensor:
    """The gradient of the thresholds, (F,)."""
    if not objective.trains_threshold:
        return torch.zeros_like(weights.threshold)
    jump = penalty_jump(objective, weights.threshold, l0, weight, rows)
    return threshold_gradient(objective, weights.threshold, sums.slopes, sums.window, jump)


def _cut(weights: Weights, x: Tensor, objective: Objective, h: Tensor) -> Tensor | None:
    """`batch_cut` of x (B, D), if there is one, in blocks of b rows; `h` (b, F) is overwritten."""
    if objective.penalty.fires != "batch":
        return None
    count = objective.firing(len(x))
    largest = torch.empty(0)
    for part in torch.split(x, len(h)):
        values = torch.addmm(weights.b_enc, part, weights.W_enc, out=h[: len(part)]).flatten()
        largest = _largest(torch.cat([largest, _largest(values, count + 1)]), count + 1)
    return batch_cut(largest, count)


def _largest(values: Tensor, count: int) -> Tensor:
    """The `count` largest of some values (n,), or all of fewer, in any order."""
    return values.topk(min(count, len(values)), sorted=False).values


def _add_block(
    sums: Sums,
    weights: Weights,
    x: Tensor,
    weight: float,
    objective: Objective,
    rows: int,
    h: Tensor,
    cut: Tensor | None,
) -> None:
    """Add the block x (b, D) of a batch of `rows`; three (b, F) float32 live at once, `h` one."""
    torch.addmm(weights.b_enc, x, weights.W_enc, out=h)
    thresholds = firing_thresholds(objective, weights, h) if cut is None else cut
    active = fires(h, thresholds)  # (b, F)
    sums.active += active.sum(dim=0)
    if objective.competes_by_row:
        sums.cuts += thresholds.sum()
    window = None
    if objective.trains_threshold:
        window = (h - weights.threshold).abs_() < objective.bandwidth / 2  # (b, F)
        sums.window += window.sum(dim=0, dtype=torch.float32)
    acts = h.mul_(active)  # (b, F)
    error = torch.addmm(weights.b_dec - x, acts, weights.W_dec)  # (b, D)
    sums.error += error.square().sum()
    error.mul_(2 / rows)  # the derivative of E to x_hat
    sums.b_dec += error.sum(dim=0)
    sums.W_dec.addmm_(acts.T, error)
    slopes = error @ weights.W_dec.T  # (b, F) dE/df
    if window is not None:
        sums.slopes += (slopes * window).sum(dim=0)
    if objective.adds_up:
        sums.penalty += penalty(objective, acts, sums.penalty, rows)
        slopes += penalty_slope(objective, acts, weight, rows)
    slopes.mul_(active)  # (b, F) dloss/dh
    sums.b_enc += slopes.sum(dim=0)
    sums.W_enc.addmm_(slopes.T, x)


def project_in_place(gradient: Tensor, W_dec: Tensor) -> Tensor:
    """`objective.project` of the gradient (F, D) without temporaries of an SAE's size."""
    rows = max(1, PROJECTED_ENTRIES // W_dec.shape[1])
    for part, along in zip(torch.split(gradient, rows), torch.split(W_dec, rows), strict=True):
        part.addcmul_(torch.linalg.vecdot(part, along).unsqueeze(1), along, value=-1)
    return gradient
