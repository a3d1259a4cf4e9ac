"""The step of step.py for the CPU: in place, one block of features after the other.

D d_model, F d_hidden. A block's rows of the decoder, columns of the encoder, gradients and moments
stay in the cache while everything is done to them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.optim.adam import adam

from ghosttrack_cli.training.gates import next_bias, next_threshold, quiet_decay
from ghosttrack_cli.training.objective import Weights
from ghosttrack_cli.training.schedule import EPSILON
from ghosttrack_cli.training.step import clipping, count, gradient_norm, is_sound, unit_rows

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.training.objective import Gradients
    from ghosttrack_cli.training.schedule import Controls
    from ghosttrack_cli.training.state import State
    from ghosttrack_cli.training.step import StepSettings

BLOCK_BYTES = 2**19
"""Of one matrix, of which a step touches eight."""


def fused_update(
    state: State, gradients: Gradients, controls: Controls, rows: int, settings: StepSettings
) -> None:
    """`update` for the CPU: no temporaries of more than a block, and skipped whole."""
    assert state.weights.W_enc.T.is_contiguous(), "lay the state out with by_columns"
    norm = gradient_norm(gradients.weights)
    if not bool(is_sound(state, gradients.figures, norm)) or bool(state.halted):
        state.halted.fill_(True)
        return
    clip = clipping(norm, settings)
    adam = _Adam(state.step.float(), 1 / clip, controls.learning_rate, settings)
    parts = _parts(state, gradients)
    for name in ("b_enc", "b_dec", "threshold"):
        adam.move(parts[name], name)
    for encoder, decoder in zip(_blocks(parts["W_enc"]), _blocks(parts["W_dec"]), strict=True):
        _move_block(encoder, decoder, adam, settings.moves.following)
    _, b_enc, _, _, threshold = state.weights
    shrink = math.exp(-quiet_decay(controls.share, rows, settings))
    b_enc.copy_(next_bias(b_enc, state, shrink, settings))
    threshold.copy_(next_threshold(threshold, gradients.cut, state, shrink, settings))
    count(state, gradients, norm, clip, rows)


class _Part(NamedTuple):
    """One of the `Weights`, or some features of it, with all that moves it."""

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


def _blocks(matrix: _Part) -> list[_Part]:
    """A matrix (F, D) in blocks of features."""
    features = max(1, BLOCK_BYTES // (matrix.weight.shape[1] * matrix.weight.element_size()))
    return [_Part(*some) for some in zip(*(torch.split(t, features) for t in matrix), strict=True)]


def _move_block(encoder: _Part, decoder: _Part, adam: _Adam, following: float) -> None:
    """Some decoder rows and encoder columns, (f, D) both: they move, and the latter follow."""
    before = decoder.weight.clone()
    adam.move(decoder, "W_dec")
    decoder.weight.copy_(unit_rows(decoder.weight))
    adam.move(encoder, "W_enc")
    encoder.weight.add_(decoder.weight - before, alpha=following)


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
