"""The gradients of objective.py on the entries that matter only, for the CPU.

B batch, D d_model, F d_hidden, K entries (entry_lists.py). Only the encoder's product stays dense;
decoding, the derivative to the activations and both weight gradients touch K of the B F entries.
Measured on two cores with K = 93 B, in thread time: encoder 360 ms, decode 40, derivative 80, each
weight gradient 56, the entries found and sorted 30.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ghosttrack_cli.sae.firing import fires
from ghosttrack_cli.training.engines.cpu_wide import blockwise_gradients, project_in_place
from ghosttrack_cli.training.engines.entry_lists import (
    bags,
    by_feature,
    error_products,
    feature_sums,
    find_entries,
    find_largest,
    rows_at_once,
)
from ghosttrack_cli.training.step.objective import (
    Figures,
    Gradients,
    Weights,
    batch_cut,
    dense_gradients,
    penalty,
    penalty_jump,
    penalty_slope,
    threshold_gradient,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.training.engines.entry_lists import Entries, Scratch
    from ghosttrack_cli.training.step.objective import Objective

DENSE_ENTRIES = 2**24
"""Of a batch, or of a block of it, whose gradients are computed densely at once."""
CUT_MARGIN = 0.8
"""Share of the mean cut of the batches before: above it a batch's own cut is looked for."""


def gradients(
    weights: Weights, x: Tensor, weight: float, objective: Objective, scratch: Scratch
) -> Gradients:
    """Loss and gradients of a batch x (B, D): over entries where they are few, else dense.

    A batch that is done densely at once makes all five products in the dtype of `scratch`.
    """
    entries = _entries(weights, x, objective, scratch)
    if entries is not None:
        return sparse_gradients(weights, x, entries, weight, objective, scratch)
    F = weights.b_enc.numel()
    rows = min(rows_at_once(x, F), max(1, DENSE_ENTRIES // F))
    if len(x) <= rows:
        known = scratch.products == torch.float32 and not objective.competes_by_row
        h = scratch.h[: len(x)] if known else None
        return dense_gradients(weights, x, weight, objective, scratch.products, h)
    scratch.sized(rows, F)
    return blockwise_gradients(weights, x, weight, objective, scratch.h[:rows])


def _entries(weights: Weights, x: Tensor, objective: Objective, scratch: Scratch) -> Entries | None:
    """The entries of a batch that may matter; None where they are many, or not all are found."""
    if objective.competes_by_row:
        return find_largest(weights, x, objective.k, scratch)
    entries = find_entries(weights, x, lower_edge(weights.threshold, objective), scratch)
    needed = objective.firing(len(x)) + 1 if objective.competes else 0
    return None if entries is None or len(entries.h) < needed else entries


def lower_edge(threshold: Tensor, objective: Objective) -> Tensor:
    """The value above which an entry may matter, (F,)."""
    if objective.competes:
        return threshold * CUT_MARGIN
    return threshold - objective.bandwidth / 2


def sparse_gradients(
    weights: Weights,
    x: Tensor,
    entries: Entries,
    weight: float,
    objective: Objective,
    scratch: Scratch,
) -> Gradients:
    """What `dense_gradients` gives, from the entries of x (B, D)."""
    B, features = len(x), entries.features
    thresholds = _thresholds(objective, weights, entries, B)
    active = fires(entries.h, thresholds)  # (K,)
    acts = torch.where(active, entries.h, 0.0)  # (K,)
    error = bags(features, weights.W_dec, entries.starts, acts)  # (B, D)
    error.add_(weights.b_dec).sub_(x)
    l0 = active.sum(dtype=torch.float32) / B
    figures = Figures(
        recon_loss=error.square().sum() / B,
        sparsity_loss=weight * penalty(objective, acts, l0, B),
        l0=l0,
    )

    error.mul_(2 / B)  # the derivative of E to x_hat
    slopes = error_products(error, weights.W_dec, entries, scratch)  # (K,) dE/df
    threshold_slope = torch.zeros_like(weights.threshold)
    if objective.trains_threshold:
        window = (entries.h - thresholds).abs() < objective.bandwidth / 2  # (K,)
        threshold_slope = threshold_gradient(
            objective,
            weights.threshold,
            feature_sums(entries, torch.where(window, slopes, 0.0), weights),
            feature_sums(entries, window.float(), weights),
            penalty_jump(objective, weights.threshold, l0, weight, B),
        )
    slopes = slopes + penalty_slope(objective, acts, weight, B)
    slopes = torch.where(active, slopes, 0.0)  # (K,) dloss/dh
    fired = feature_sums(entries, active.float(), weights)  # (F,)
    order = by_feature(features, active)  # (A,) the active entries, feature by feature
    starts = (fired.long().cumsum(0) - fired.long()).int()  # (F,)
    rows = entries.rows[order]
    gradient = Weights(
        W_enc=bags(rows, x, starts, slopes[order]).T,
        b_enc=feature_sums(entries, slopes, weights),
        W_dec=project_in_place(bags(rows, error, starts, acts[order]), weights.W_dec),
        b_dec=error.sum(dim=0),
        threshold=threshold_slope,
    )
    return Gradients(gradient, figures, fired > 0, _cut(objective, entries, thresholds))


def _thresholds(objective: Objective, weights: Weights, entries: Entries, rows: int) -> Tensor:
    """What the entries must exceed to fire, (K,) or ()."""
    match objective.penalty.fires:
        case "row":
            return torch.zeros(())  # only those that fire are among them
        case "batch":
            return batch_cut(entries.h, objective.firing(rows))
        case _:
            return weights.threshold[entries.features]


def _cut(objective: Objective, entries: Entries, thresholds: Tensor) -> Tensor | None:
    """What entries had to exceed where they compete, ()."""
    if objective.competes_by_row:
        return entries.cut
    return thresholds if objective.competes else None
