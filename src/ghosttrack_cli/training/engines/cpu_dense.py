"""The step of update.py for the CPU: in place, without temporaries.

D d_model, F d_hidden.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.optim.adam import adam

from ghosttrack_cli.training.step.objective import Weights
from ghosttrack_cli.training.step.thresholds import next_bias, next_threshold, quiet_decay
from ghosttrack_cli.training.step.update import (
    EPSILON,
    SMALLEST_NORM,
    clipping,
    count,
    gradient_norm,
    is_sound,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.training.step.objective import Gradients
    from ghosttrack_cli.training.step.schedule import Controls
    from ghosttrack_cli.training.step.settings import StepSettings
    from ghosttrack_cli.training.step.state import State


def fused_update(
    state: State, gradients: Gradients, controls: Controls, rows: int, settings: StepSettings
) -> None:
    """`update` for the CPU: few passes over weights and moments, and skipped whole."""
    assert state.weights.W_enc.T.is_contiguous(), "lay the state out with by_columns"
    norm = gradient_norm(gradients.weights)
    if not bool(is_sound(state, gradients.figures, norm)) or bool(state.halted):
        state.halted.fill_(True)
        return
    clip = clipping(norm, settings)
    adam = _Adam(state.step.float(), 1 / clip, controls.learning_rate, settings)
    parts = _parts(state, gradients)
    for name in ("W_enc", "b_enc", "b_dec", "threshold"):
        adam.move(parts[name], name)
    _move_decoder(parts, adam, settings.moves.following)
    _, b_enc, _, _, threshold = state.weights
    shrink = math.exp(-quiet_decay(controls.share, rows, settings))
    b_enc.copy_(next_bias(b_enc, state, shrink, settings))
    threshold.copy_(next_threshold(threshold, gradients.cut, state, shrink, settings))
    count(state, gradients, norm, clip, rows)


class _Part(NamedTuple):
    """One of the `Weights` with all that moves it."""

    weight: Tensor
    gradient: Tensor
    first: Tensor
    second: Tensor


def _parts(state: State, gradients: Gradients) -> dict[str, _Part]:
    """The five by name; W_enc feature by feature, (F, D), as `by_columns` lays it out."""
    groups = (state.weights, gradients.weights, state.first, state.second)
    turned = (weights._replace(W_enc=weights.W_enc.T) for weights in groups)
    named = zip(Weights._fields, zip(*turned, strict=True), strict=True)
    return {name: _Part(*tensors) for name, tensors in named}


def _move_decoder(parts: dict[str, _Part], adam: _Adam, following: float) -> None:
    """Move the decoder, with rows of length 1, and the encoder after it.

    Taking the share off before and adding it after needs no copy of the decoder.
    """
    W_enc, W_dec = parts["W_enc"].weight, parts["W_dec"].weight  # (F, D) both
    W_enc.add_(W_dec, alpha=-following)
    adam.move(parts["W_dec"], "W_dec")
    lengths = torch.linalg.vector_norm(W_dec, dim=1, keepdim=True)  # (F, 1)
    W_dec.div_(lengths.clamp_(min=SMALLEST_NORM))
    W_enc.add_(W_dec, alpha=following)


@dataclass(frozen=True)
class _Adam:
    """One step of Adam, for each part in turn."""

    step: Tensor  # () of finished ones
    unclip: Tensor  # () what gradients are divided by
    learning_rate: float
    settings: StepSettings

    def move(self, part: _Part, name: str) -> None:
        """Take the step; torch counts it in a copy, since every part takes it once."""
        rate = self.learning_rate * getattr(self.settings.moves.rates, name)
        decay = self.settings.decay_of(name)
        if decay:
            part.weight.mul_(1 - rate * decay)
        adam(
            [part.weight],
            [part.gradient.contiguous()],
            [part.first],
            [part.second],
            [],
            [self.step.clone()],
            fused=True,
            grad_scale=self.unclip,
            amsgrad=False,
            beta1=self.settings.moves.betas.first,
            beta2=self.settings.moves.betas.second,
            lr=rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )
