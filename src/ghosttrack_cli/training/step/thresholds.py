"""Thresholds and encoder's biases after a step: kept in bounds, and quiet features opened.

B batch, F d_hidden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.training.step.settings import StepSettings
    from ghosttrack_cli.training.step.state import State

CUT_RATE = 0.01
BIAS_PATIENCE = 4
"""Times `revive_rows`, after which a threshold has come down to a fifth (docs/recipe.md)."""
Controlled = TypeVar("Controlled", "Tensor", float)


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
    down, a bias below 0 shrinks as well; against that no threshold would be low enough. Where the
    entries of a row compete, theta is what they had to exceed on average: there it is the bias that
    closes the gap.
    """
    if settings.objective.competes_by_row:
        gap = state.weights.threshold - moved
        quiet = (state.quiet_rows >= settings.revive_rows) & (gap > 0)
        return torch.where(quiet, moved + (1 - shrink) * gap, moved)
    if not settings.objective.trains_threshold:
        return moved
    closed = (state.quiet_rows >= BIAS_PATIENCE * settings.revive_rows) & (moved < 0)
    return torch.where(closed, moved * shrink, moved)
