"""One training step: clip, refuse what is not finite, Adam, clamp, revive, renormalise.

B batch, D d_model, F d_hidden.

`update` is written out of elementwise parts without looking at a value, so that a compiler can
fuse it and a CUDA graph can hold it; `fused_update` is the same step for the CPU.
Adam: Kingma and Ba 2015; weight decay: Loshchilov and Hutter 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch.optim.adam import adam

from ghosttrack_cli.training.objective import Figures, Gradients, Weights, dense_gradients
from ghosttrack_cli.training.schedule import BETA1, BETA2, EPSILON, Controls

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.training.objective import Objective
    from ghosttrack_cli.training.state import State

SPIKE = 100.0
SMALLEST_REFERENCE = 0.01
REFERENCE_DECAY = 0.99
SMALLEST_NORM = 1e-12
CUT_RATE = 0.01
BIAS_PATIENCE = 4
"""Times `revive_rows`, after which a threshold has come down to a fifth (docs/recipe.md)."""
DECAYED = ("W_enc", "W_dec")
Controlled = TypeVar("Controlled", "Tensor", float)


class Rates(NamedTuple):
    """Factors on the learning rate, one for each of the `Weights`."""

    W_enc: float = 1.0
    b_enc: float = 1.0
    W_dec: float = 1.0
    b_dec: float = 1.0
    threshold: float = 1.0


UNIFORM = Rates()


@dataclass(frozen=True)
class StepSettings:
    """The constants of a step."""

    objective: Objective
    gradient_clip: float
    revive_rows: int
    """Rows without a firing after which the threshold of a feature falls."""
    rates: Rates = UNIFORM
    weight_decay: float = 0.0
    products: torch.dtype = torch.float32


def train_step(state: State, x: Tensor, controls: Tensor, settings: StepSettings) -> None:
    """Change `state` in place by one batch: `x` (B, D) in training units, Controls as a tensor."""
    gradients = dense_gradients(
        state.weights, x, controls[1], settings.objective, settings.products
    )
    update(state, gradients, controls, x.shape[0], settings)


def gradient_norm(gradient: Weights) -> Tensor:
    """The global norm over all five tensors, ()."""
    squares = torch.stack([torch.linalg.vector_norm(part).square() for part in gradient])
    return squares.sum().sqrt()


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
    keep = ~state.halted
    clip = (settings.gradient_clip / norm.clamp(min=SMALLEST_NORM)).clamp(max=1.0)
    shrink = (-quiet_decay(controls[4], rows, settings)).exp()
    for name, weight, first, second, gradient, factor in zip(
        Weights._fields,
        state.weights,
        state.first,
        state.second,
        gradients.weights,
        settings.rates,
        strict=True,
    ):
        decay = settings.weight_decay if name in DECAYED else 0.0
        new = adam_step(weight, first, second, gradient * clip, controls, factor, decay)
        if name == "W_dec":
            new = new._replace(weight=unit_rows(new.weight))
        if name == "b_enc":
            new = new._replace(weight=next_bias(new.weight, state, shrink, settings))
        if name == "threshold":
            new = new._replace(
                weight=next_threshold(new.weight, gradients.cut, state, shrink, settings)
            )
        weight.copy_(torch.where(keep, new.weight, weight))
        first.copy_(torch.where(keep, new.first, first))
        second.copy_(torch.where(keep, new.second, second))
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
    weight: Tensor
    first: Tensor
    second: Tensor


def adam_step(
    weight: Tensor,
    first: Tensor,
    second: Tensor,
    gradient: Tensor,
    controls: Tensor,
    factor: float,
    decay: float,
) -> _Moved:
    """One step of Adam with decoupled weight decay: the new weight and moments."""
    rate, _, correction1, correction2, _ = controls.unbind()
    rate = rate * factor
    first = BETA1 * first + (1 - BETA1) * gradient
    second = BETA2 * second + (1 - BETA2) * gradient.square()
    change = (first / correction1) / ((second / correction2).sqrt() + EPSILON)
    return _Moved(weight * (1 - rate * decay) - rate * change, first, second)


def unit_rows(W_dec: Tensor) -> Tensor:
    """The rows (F, D) scaled to length 1."""
    lengths = torch.linalg.vector_norm(W_dec, dim=1, keepdim=True)  # (F, 1)
    return W_dec.div(lengths.clamp(min=SMALLEST_NORM))


def quiet_decay(share: Controlled, rows: int, settings: StepSettings) -> Controlled:
    """What a step of `rows` takes off the log-threshold of a quiet feature.

    It falls e-fold in twice `revive_rows` rows, times the share of the peak learning rate, so that
    at the end no feature begins to fire that has no steps left to learn.
    """
    return share * (rows / (2 * settings.revive_rows))


def next_threshold(
    moved: Tensor, cut: Tensor | None, state: State, shrink: Tensor | float, settings: StepSettings
) -> Tensor:
    """The threshold (F,) after a step that Adam has `moved`.

    With cuts of the batches it is their moving mean, a plain one over the first hundred steps: the
    start is forgotten at once. Else it is not negative, and where it is trained it shrinks for
    features that are quiet, until they fire again and learn.
    """
    if cut is not None:
        rate = (1 / (state.step + 1)).clamp(min=CUT_RATE)
        return state.weights.threshold.lerp(cut.expand_as(moved), rate)
    if settings.objective.trains_threshold:
        moved = torch.where(state.quiet_rows >= settings.revive_rows, moved * shrink, moved)
    return moved.clamp(min=0.0)


def next_bias(
    moved: Tensor, state: State, shrink: Tensor | float, settings: StepSettings
) -> Tensor:
    """The encoder's bias (F,) after a step that Adam has `moved`.

    A feature fires where x W_enc > theta - b_enc. If it stays quiet though its threshold has come
    down, a bias below 0 shrinks as well; against that no threshold would be low enough.
    """
    if not settings.objective.trains_threshold:
        return moved
    closed = (state.quiet_rows >= BIAS_PATIENCE * settings.revive_rows) & (moved < 0)
    return torch.where(closed, moved * shrink, moved)


def fused_update(
    state: State, gradients: Gradients, controls: Controls, rows: int, settings: StepSettings
) -> None:
    """`update` for the CPU: one pass over weights and moments, no temporaries, skipped whole."""
    assert state.weights.W_enc.T.is_contiguous(), "lay the state out with by_columns"
    norm = gradient_norm(gradients.weights)
    clip = (settings.gradient_clip / norm.clamp(min=SMALLEST_NORM)).clamp(max=1.0)
    if not bool(is_sound(state, gradients.figures, norm)) or bool(state.halted):
        state.halted.fill_(True)
        return
    for name, weight, gradient, first, second, factor in zip(
        Weights._fields,
        _rows(state.weights),
        _rows(gradients.weights),
        _rows(state.first),
        _rows(state.second),
        settings.rates,
        strict=True,
    ):
        rate = controls.learning_rate * factor
        if settings.weight_decay and name in DECAYED:
            weight.mul_(1 - rate * settings.weight_decay)
        adam(
            [weight],
            [gradient],
            [first],
            [second],
            [],
            [state.step.float()],
            fused=True,
            grad_scale=1 / clip,
            amsgrad=False,
            beta1=BETA1,
            beta2=BETA2,
            lr=rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )
    _, b_enc, W_dec, _, threshold = state.weights
    shrink = math.exp(-quiet_decay(controls.share, rows, settings))
    b_enc.copy_(next_bias(b_enc, state, shrink, settings))
    threshold.copy_(next_threshold(threshold, gradients.cut, state, shrink, settings))
    W_dec.div_(torch.linalg.vector_norm(W_dec, dim=1, keepdim=True).clamp_(min=SMALLEST_NORM))
    count(state, gradients, norm, clip, rows)


def _rows(weights: Weights) -> list[Tensor]:
    """The five tensors, each contiguous; W_enc feature by feature, as `by_columns` lays it out."""
    return [*weights._replace(W_enc=weights.W_enc.T.contiguous())]
