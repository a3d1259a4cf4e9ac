"""How a training is set: every figure that docs/recipe.md derives, as one value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.machine import devices
from ghosttrack_cli.penalties import PENALTIES
from ghosttrack_cli.training.step.objective import Objective, tanh_slope
from ghosttrack_cli.training.step.schedule import Schedule
from ghosttrack_cli.training.step.settings import PLAIN, Betas, Moves, Rates, StepSettings
from ghosttrack_cli.training.targets import accepted_band, target_l0

if TYPE_CHECKING:
    from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
    from ghosttrack_cli.training.targets import Band

Figure = TypeVar("Figure", int, float)

RATE_WIDTH, RATE_BATCH = 768, 4096
"""Width of the rows, and rows of a batch, for which the factor of the learning rate was found."""

ENCODER_RATE, DECODER_RATE, THRESHOLD_RATE, BIAS_RATE = 0.7, 2.0, 10.0, 4.0
"""Of the learning rate; the last two are divided by `target_l0`."""

FOLLOWING = 0.5
"""Share of its decoder row's movement that an encoder column makes too."""

BETAS = Betas(0.8, 0.98)
"""Adam's, unless a penalty has its own defaults."""

REVIVE_FIRINGS = 40
"""Of an average feature, in the time in which one has to fire once."""

LEAST_EVALUATED, MOST_EVALUATED = 8_192, 65_536

ROWS_PER_EVALUATED = 8
"""Trained on between two evaluations, for each that an evaluation looks at."""


@dataclass(frozen=True)
class Recipe:
    """All that follows from the settings of a training and the shape of its rows."""

    d_model: int
    d_hidden: int
    objective: Objective
    band: Band
    """The L0 that `best` may have."""
    batch_size: int
    """Rows a step."""
    epoch_steps: int
    schedule: Schedule
    """Learning rate and sparsity weight of each of all steps."""
    moves: Moves
    revive_rows: int
    """Rows after which a feature is quiet."""
    evaluation_rows: int
    """Held-out rows of an evaluation during training."""
    gradient_clip: float
    weight_decay: float

    @classmethod
    def of(cls, sae: SAESettings, training: SAETrainingSettings, d_model: int, rows: int) -> Recipe:
        """The recipe of some settings for `rows` training rows an epoch, `d_model` wide.

        A store with fewer rows than a batch gives one smaller batch an epoch.

        Raises:
            UsageError: the settings contradict each other or the rows.
        """
        L0 = target_l0(sae, training)
        batch_size = min(training.batch_size, rows)
        epoch_steps = rows // batch_size
        total_steps = epoch_steps * training.epochs
        penalty = PENALTIES[sae.sparsity]
        return cls(
            d_model=d_model,
            d_hidden=sae.d_hidden,
            objective=_objective(sae, training, d_model),
            band=accepted_band(sae, training),
            batch_size=batch_size,
            epoch_steps=epoch_steps,
            schedule=Schedule.of(
                training,
                total_steps,
                peak=_given(training.learning_rate, _rate(sae, L0, d_model, batch_size)),
                weight=_given(sae.lambda_sparse, penalty.weight),
            ),
            moves=PLAIN if penalty.plain else _moves(L0),
            revive_rows=_given(training.revive_rows, math.ceil(REVIVE_FIRINGS * sae.d_hidden / L0)),
            evaluation_rows=_given(
                training.evaluation_rows,
                _evaluated(total_steps * batch_size // training.evaluations),
            ),
            gradient_clip=training.gradient_clip,
            weight_decay=training.weight_decay,
        )

    @property
    def total_steps(self) -> int:
        """Steps of all epochs."""
        return self.schedule.total_steps

    def products_on(self, device: torch.device) -> torch.dtype:
        """What large matrix products are made in: bfloat16 where that is several times as fast.

        Where entries compete, rounded ones would be equal too often to choose exactly as many as
        are to fire, which is done on the CPU.
        """
        if device.type == "cuda":
            return torch.bfloat16
        fast = devices.has_bfloat16_units() and not self.objective.competes
        return torch.bfloat16 if fast else torch.float32

    def step_settings(self, device: torch.device) -> StepSettings:
        """What every step of a training on `device` is made with."""
        return StepSettings(
            objective=self.objective,
            gradient_clip=self.gradient_clip,
            revive_rows=self.revive_rows,
            moves=self.moves,
            weight_decay=self.weight_decay,
            products=self.products_on(device),
        )


def _given(asked: Figure | None, rule: Figure) -> Figure:
    """A figure as set, or what the rule says."""
    return rule if asked is None else asked


def _rate(sae: SAESettings, L0: float, d_model: int, batch_size: int) -> float:
    """The peak learning rate: lower for rare features, wide rows and small batches.

        0.04 √(L0 / F) √(768 / D) (min(B, 4096) / 4096)^⅓

    with 0.034 (`batchtopk`) and 0.0225 (`l1`) for 0.04, since features that die there stay dead.
    The best rates of two models, D 192 and 576, B 512 to 4096, follow it (docs/recipe.md); larger
    batches were not tried with it.
    """
    firing = math.sqrt(L0 / sae.d_hidden)
    width = math.sqrt(RATE_WIDTH / d_model)
    batch = math.cbrt(min(batch_size, RATE_BATCH) / RATE_BATCH)
    return PENALTIES[sae.sparsity].rate * firing * width * batch


def _moves(L0: float) -> Moves:
    """How gradients move the weights (docs/recipe.md has the trials).

    Of the learning rate W_enc takes 0.7, W_dec 2, threshold 10 / L0, b_enc 4 / L0, the last two at
    most 1: the more features share a row, the smaller their activations are, so that thresholds and
    biases which move as fast as weights jump about by their own size. Encoder columns make half of
    the movement of their decoder rows besides. Adam forgets sooner than by its defaults, since the
    gradients of the first steps, in which most features fire, are far larger than all later ones.
    """
    rates = Rates(
        W_enc=ENCODER_RATE,
        W_dec=DECODER_RATE,
        b_enc=min(1.0, BIAS_RATE / L0),
        threshold=min(1.0, THRESHOLD_RATE / L0),
    )
    return Moves(rates, BETAS, FOLLOWING)


def _evaluated(between: int) -> int:
    """Held-out rows of an evaluation where `between` are trained on from one to the next.

    A row costs about as much there as a step on it, so that the steps of long trainings cost far
    more than their evaluations.
    """
    return min(MOST_EVALUATED, max(LEAST_EVALUATED, between // ROWS_PER_EVALUATED))


def _objective(sae: SAESettings, training: SAETrainingSettings, d_model: int) -> Objective:
    """The constants of the loss; raises as `Recipe.of`."""
    if sae.d_model not in {None, d_model}:
        raise UsageError(
            f"d_model: {sae.d_model} requested, but the store's rows are {d_model} wide",
            hint="leave d_model out: it is read from the store",
        )
    band, target = accepted_band(sae, training), target_l0(sae, training)
    objective = Objective(sae.sparsity, target, sae.bandwidth, tanh_slope(d_model))
    if objective.holds_l0 and not band.has(target):
        raise UsageError(
            f"target_l0: {target:g} is not in the accepted band, {band.low:g} to {band.high:g}",
            hint="leave target_sparsity_min and _max out, or set them around target_l0",
        )
    if objective.holds_l0 and target >= sae.d_hidden:
        raise UsageError(
            f"target_l0: {target:g} active features per token cannot be reached with"
            f" d_hidden = {sae.d_hidden}",
            hint="use a larger --d-hidden, or a smaller --target-l0",
        )
    if objective.competes_by_row and objective.k != target:
        raise UsageError(
            f"target_l0: {target:g} requested, but with sparsity = {sae.sparsity} it is the k of a"
            " row, a whole number from 1",
            hint=f"--target-l0 {max(1, objective.k)}",
        )
    return objective
