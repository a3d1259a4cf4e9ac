"""One training step: clip, refuse what is not finite, Adam, clamp, revive, renormalise, follow.

B batch, D d_model, F d_hidden.

`update` is written out of elementwise parts without looking at a value, so that a compiler can
fuse it and a CUDA graph can hold it; cpu_dense.py has the same step for the CPU.
Adam: Kingma and Ba 2015; weight decay: Loshchilov and Hutter 2019.

A feature is found by its decoder row, whose gradient is what the other features leave over; its
encoder column learns from whole rows, which is noisier, and lags behind. So the column makes a
share of the row's movement besides its own step (docs/recipe.md):

    W_enc <- W_enc + Adam's step + share (W_dec after - W_dec before)^T
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from ghosttrack_cli.training.step.objective import Figures, Gradients, Weights
from ghosttrack_cli.training.step.thresholds import next_bias, next_threshold, quiet_decay

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.training.step.settings import Betas, StepSettings
    from ghosttrack_cli.training.step.state import State

SPIKE = 100.0
SMALLEST_REFERENCE = 0.01
REFERENCE_DECAY = 0.99
SMALLEST_NORM = 1e-12
EPSILON = 1e-8


def gradient_norm(gradient: Weights) -> Tensor:
    """The global norm over all five tensors, ()."""
    squares = torch.stack([torch.linalg.vector_norm(part).square() for part in gradient])
    return squares.sum().sqrt()


def clipping(norm: Tensor, settings: StepSettings) -> Tensor:
    """The factor on the gradients with which their global norm is at most `gradient_clip`, ()."""
    return (settings.gradient_clip / norm.clamp(min=SMALLEST_NORM)).clamp(max=1.0)


def is_sound(state: State, figures: Figures, norm: Tensor) -> Tensor:
    """Whether the step may be taken, () bool: finite, and no loss spike."""
    limit = SPIKE * state.reference.clamp(min=SMALLEST_REFERENCE)
    return torch.isfinite(figures.recon_loss + norm) & (figures.recon_loss <= limit)


def update(
    state: State, gradients: Gradients, controls: Tensor, rows: int, settings: StepSettings
) -> None:
    """Take the step, or, where it is not sound, set `halted` and change nothing from then on."""
    norm = gradient_norm(gradients.weights)
    state.halted.logical_or_(~is_sound(state, gradients.figures, norm))
    clip = clipping(norm, settings)
    moved = _moved(state, gradients, controls[0], clip, settings)
    shrink = (-quiet_decay(controls[2], rows, settings)).exp()
    W_enc, b_enc, W_dec, b_dec, threshold = moved.weights
    W_dec = unit_rows(W_dec)
    after = Weights(
        W_enc=W_enc + settings.moves.following * (W_dec - state.weights.W_dec).T,
        b_enc=next_bias(b_enc, state, shrink, settings),
        W_dec=W_dec,
        b_dec=b_dec,
        threshold=next_threshold(threshold, gradients.cut, state, shrink, settings),
    )
    before = (*state.weights, *state.first, *state.second)
    for old, new in zip(before, (*after, *moved.first, *moved.second), strict=True):
        old.copy_(torch.where(state.halted, old, new))
    count(state, gradients, norm, clip, rows)


def count(state: State, gradients: Gradients, norm: Tensor, clip: Tensor, rows: int) -> None:
    """Keep the books of a step; a refused one changes none."""
    figures, keep = gradients.figures, ~state.halted
    one = torch.ones_like(norm)
    line = torch.stack([one, *figures, norm, (clip < 1).float()]).double()  # (6,)
    state.sums.copy_(torch.where(keep, state.sums + line, state.sums))
    moved = torch.lerp(figures.recon_loss, state.reference, REFERENCE_DECAY)
    moved = torch.where(torch.isfinite(state.reference), moved, figures.recon_loss)
    state.reference.copy_(torch.where(keep, moved, state.reference))
    quiet = torch.where(gradients.fired, 0, state.quiet_rows + rows)
    state.quiet_rows.copy_(torch.where(keep, quiet, state.quiet_rows))
    state.step.add_(keep.long())


class _Moved(NamedTuple):
    """Weights and moments as Adam leaves them."""

    weights: Weights
    first: Weights
    second: Weights


def _moved(
    state: State, gradients: Gradients, rate: Tensor, clip: Tensor, settings: StepSettings
) -> _Moved:
    """The next step of Adam for each part; nothing is changed yet."""
    t = (state.step + 1).float()
    parts = [
        adam_step(
            weight * (1 - rate * factor * settings.decay_of(name)),
            first,
            second,
            gradient * clip,
            t,
            settings.moves.betas,
            rate * factor,
        )
        for name, weight, first, second, gradient, factor in zip(
            Weights._fields,
            state.weights,
            state.first,
            state.second,
            gradients.weights,
            settings.moves.rates,
            strict=True,
        )
    ]
    weights, first, second = zip(*parts, strict=True)
    return _Moved(Weights(*weights), Weights(*first), Weights(*second))


def adam_step(
    weight: Tensor,
    first: Tensor,
    second: Tensor,
    gradient: Tensor,
    t: Tensor,
    betas: Betas,
    rate: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The `t`-th step of Adam, counted from 1: the new weight and moments."""
    first = betas.first * first + (1 - betas.first) * gradient
    second = betas.second * second + (1 - betas.second) * gradient.square()
    corrected1, corrected2 = first / (1 - betas.first**t), second / (1 - betas.second**t)
    change = corrected1 / (corrected2.sqrt() + EPSILON)
    return weight - rate * change, first, second


def unit_rows(W_dec: Tensor) -> Tensor:
    """The rows (F, D) scaled to length 1."""
    lengths = torch.linalg.vector_norm(W_dec, dim=1, keepdim=True)  # (F, 1)
    return W_dec.div(lengths.clamp(min=SMALLEST_NORM))
