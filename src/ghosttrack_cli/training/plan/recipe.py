"""How a training is set: rates, betas, weights, patience (docs/recipe.md)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.training.step.objective import Objective, tanh_slope
from ghosttrack_cli.training.step.settings import PLAIN, Betas, Moves, Rates
from ghosttrack_cli.training.targets import accepted_band, target_l0

if TYPE_CHECKING:
    from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings

LEARNING_RATE = 0.04
"""Of `RATE_WIDTH` wide rows in batches of `RATE_BATCH`, if every feature fired on every row."""

UNREVIVED_RATES = {"batchtopk": 0.034, "l1": 0.0225}
"""The same where features that go quiet stay so."""

RATE_WIDTH, RATE_BATCH = 768, 4096

ENCODER_RATE, DECODER_RATE, THRESHOLD_RATE, BIAS_RATE = 0.7, 2.0, 10.0, 4.0
"""Of the learning rate; the last two are divided by `target_l0`."""

FOLLOWING = 0.5
"""Share of its decoder row's movement that an encoder column makes too."""

BETAS = Betas(0.8, 0.98)
"""Adam's, unless `l1` has its own defaults."""

REVIVE_FIRINGS = 40
"""Of an average feature, in the time in which one has to fire once."""

LEAST_EVALUATED, MOST_EVALUATED = 8_192, 65_536

ROWS_PER_EVALUATED = 8
"""Trained on between two evaluations, for each that an evaluation looks at."""

DEFAULT_WEIGHTS = {"target": 1.0, "l1": 0.01, "l0": 0.001, "tanh": 0.001, "batchtopk": 0.0}


def sparsity_weight(sae: SAESettings) -> float:
    """The weight lambda: as set, or the mode's own."""
    default = DEFAULT_WEIGHTS[sae.sparsity]
    return default if sae.lambda_sparse is None else sae.lambda_sparse


def learning_rate(
    sae: SAESettings, training: SAETrainingSettings, d_model: int, batch_size: int
) -> float:
    """The peak learning rate: as set, or lower for rare features, wide rows and small batches.

        0.04 √(target_l0 / F) √(768 / D) (min(B, 4096) / 4096)^⅓

    with 0.034 (`batchtopk`) and 0.0225 (`l1`) for 0.04, since features that die there stay dead.
    The best rates of two models, D 192 and 576, B 512 to 4096, follow it (docs/recipe.md); larger
    batches were not tried with it.
    """
    if training.learning_rate is not None:
        return training.learning_rate
    firing = math.sqrt(target_l0(sae, training) / sae.d_hidden)
    width = math.sqrt(RATE_WIDTH / d_model)
    batch = math.cbrt(min(batch_size, RATE_BATCH) / RATE_BATCH)
    rate = UNREVIVED_RATES.get(sae.sparsity, LEARNING_RATE)
    return rate * firing * width * batch


def moves(sae: SAESettings, training: SAETrainingSettings) -> Moves:
    """How gradients move the weights (docs/recipe.md has the trials); with `l1` as in the original.

    Of the learning rate W_enc takes 0.7, W_dec 2, threshold 10 / L0, b_enc 4 / L0, the last two at
    most 1: the more features share a row, the smaller their activations are, so that thresholds and
    biases which move as fast as weights jump about by their own size. Encoder columns make half of
    the movement of their decoder rows besides. Adam forgets sooner than by its defaults, since the
    gradients of the first steps, in which most features fire, are far larger than all later ones.
    """
    if sae.sparsity == "l1":
        return PLAIN
    L0 = target_l0(sae, training)
    rates = Rates(
        W_enc=ENCODER_RATE,
        W_dec=DECODER_RATE,
        b_enc=min(1.0, BIAS_RATE / L0),
        threshold=min(1.0, THRESHOLD_RATE / L0),
    )
    return Moves(rates, BETAS, FOLLOWING)


def revive_rows(sae: SAESettings, training: SAETrainingSettings) -> int:
    """Rows after which a feature is quiet: as set, or until an average one has fired 40 times.

    The latter fires once in F / target_l0 rows; fewer than 40 gain no more (docs/recipe.md).
    """
    if training.revive_rows is not None:
        return training.revive_rows
    return math.ceil(REVIVE_FIRINGS * sae.d_hidden / target_l0(sae, training))


def evaluation_rows(training: SAETrainingSettings, rows: int) -> int:
    """Held-out rows of an evaluation in a training of `rows`, those of every epoch counted.

    A row costs about as much there as a step on it, so that the steps of long trainings cost far
    more than their evaluations.
    """
    if training.evaluation_rows is not None:
        return training.evaluation_rows
    between = rows // training.evaluations
    return min(MOST_EVALUATED, max(LEAST_EVALUATED, between // ROWS_PER_EVALUATED))


def objective_of(sae: SAESettings, training: SAETrainingSettings, d_model: int) -> Objective:
    """The constants of the loss.

    Raises:
        UsageError: the settings contradict each other or the store.
    """
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
    return objective


def steps_of(train_rows: int, training: SAETrainingSettings) -> tuple[int, int]:
    """Rows per step and steps per epoch; a smaller store gives one smaller batch an epoch."""
    batch_size = min(training.batch_size, train_rows)
    return batch_size, train_rows // batch_size
