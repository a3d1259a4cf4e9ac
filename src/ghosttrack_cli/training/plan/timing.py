"""How long a training will take on this machine's CPU, from a few steps of its own kind.

B batch, D d_model, F d_hidden.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import torch

from ghosttrack_cli.machine import clock, devices
from ghosttrack_cli.store.format.dtypes import to_torch
from ghosttrack_cli.training.engines.cpu import CpuEngine
from ghosttrack_cli.training.engines.engine import Scaling
from ghosttrack_cli.training.plan.plan import training_device
from ghosttrack_cli.training.plan.recipe import Recipe
from ghosttrack_cli.training.step.schedule import Schedule
from ghosttrack_cli.training.step.state import DEAD_ROWS, State, initial_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.read.reader import ActivationStore
    from ghosttrack_cli.training.plan.plan import TrainingPlan

STEPS, MOST_SECONDS = 4, 6.0
"""Of which the first one is not counted; fewer where a step takes long."""
LOOKS_AT_THE_END = 2
"""Passes over the held-out rows once the steps are taken."""


def stored_rows(store: ActivationStore, layer: AnySite, count: int) -> Tensor:
    """The first `count` rows of a layer, again and again where it has fewer, (B, D)."""
    rows = to_torch(store.read(layer, 0, min(count, store.rows))).float()
    return rows.repeat(-(-count // len(rows)), 1)[:count]


def made_up_rows(d_model: int, count: int) -> Tensor:
    """Rows of a layer that is not there yet, (B, D)."""
    return torch.randn(count, d_model, generator=torch.Generator().manual_seed(0))


def seconds_a_row(
    raw: Tensor, sae: SAESettings, training: SAETrainingSettings, threads: int
) -> float | None:
    """Seconds that a row of a step on `raw`, (B, D), takes with so many threads.

    The thresholds are such that L0 is the target, as it is for most of a training. None on a GPU,
    where the first step is a compilation of minutes.
    """
    if training_device(training.device).type != "cpu":
        return None
    B, D = raw.shape
    recipe = Recipe.of(sae, training, D, B)
    with devices.torch_threads(threads):
        scaling = _scaling(raw)
        state = initial_state(D, sae.d_hidden, sae.threshold, training.seed)
        _put_l0_on_target(state, scaling.apply(raw), recipe.objective.target_l0)
        engine = CpuEngine(
            state,
            scaling,
            _long(recipe, training),
            recipe.step_settings(raw.device),
        )
        taken: list[float] = []
        while len(taken) < STEPS and sum(taken) < MOST_SECONDS:
            started = clock.monotonic()
            engine.step(raw)
            taken.append(clock.monotonic() - started)
    return median(taken[1:] or taken) / B


def _scaling(raw: Tensor) -> Scaling:
    scale = float(raw.square().sum(dim=1).mean()) ** -0.5
    return Scaling(scale, raw.mean(dim=0) * scale)


def _put_l0_on_target(state: State, x: Tensor, l0: float) -> None:
    h = (x @ state.weights.W_enc + state.weights.b_enc).flatten()  # (B F,)
    wanted = min(h.numel(), max(1, round(l0 * x.shape[0])))
    cut = h.topk(wanted, sorted=True).values[-1].clamp(min=0)
    state.weights.threshold.fill_(float(cut))


def _long(recipe: Recipe, training: SAETrainingSettings) -> Schedule:
    """Of so many steps that the first ones move little."""
    schedule = recipe.schedule
    return Schedule.of(training, 10**6, peak=schedule.peak, weight=schedule.weight)


def rows_to_see(plan: TrainingPlan, training: SAETrainingSettings) -> int:
    """Rows of all that is left of a layer's training: one looked at costs as one of a step."""
    if plan.state == "finished":
        return 0
    left = max(0, plan.total_steps - plan.finished_steps)
    share = left / max(1, plan.total_steps)
    looked_at = min(plan.rows - plan.train_rows, plan.evaluation_rows)
    at_the_end = LOOKS_AT_THE_END * (plan.rows - plan.train_rows) + min(DEAD_ROWS, plan.train_rows)
    return left * plan.batch_size + round(share * training.evaluations * looked_at) + at_the_end


def total_seconds(
    plans: Sequence[TrainingPlan], training: SAETrainingSettings, a_row: float, at_once: int
) -> float:
    """Seconds for all layers, `at_once` side by side with their share of the threads each."""
    rows = [rows_to_see(plan, training) for plan in plans]
    groups = (rows[first : first + at_once] for first in range(0, len(rows), at_once))
    return a_row * sum(max(group) for group in groups)
