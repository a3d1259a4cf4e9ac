"""When training must not go on: values that are not finite, spikes, collapse.

The step itself refuses an update that is not finite or whose loss jumped (`is_sound` in update.py),
so the state that is kept is always the last good one; what is seen over many steps is judged here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import TrainingError
from ghosttrack_cli.quantities import format_figure, format_percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.settings.schema import SAETrainingSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.training.records.history import History

DIVERGED = 10.0
JUDGED_DEAD_ROWS = 100_000
MANY_DEAD = 0.5
SAFER, HIGHEST_RATE = 3, 0.003
"""A third of the rate that failed, and no more than one that few trainings fail with."""


def refuse_halted(layer: AnySite, step: int, peak: float) -> TrainingError:
    """The error for a step that was refused; `peak` is the learning rate that was set."""
    return TrainingError(
        f"layer {layer}: the loss is not finite or jumped a hundredfold at step {step + 1}, with a"
        f" learning_rate of {peak:g}; the state after step {step} is kept",
        hint=_lower(layer, peak),
    )


def check_entry(
    layer: AnySite,
    history: History,
    entry: Mapping[str, float],
    training: SAETrainingSettings,
    peak: float,
) -> None:
    """Judge a new evaluation against those before it; `peak` is the learning rate that was set.

    Raises:
        TrainingError: not finite, diverged, nothing fires any more, or most features died.
    """
    bad = [name for name, value in entry.items() if not math.isfinite(value)]
    if bad:
        raise TrainingError(
            f"layer {layer}: not finite on held-out rows: {', '.join(bad)}",
            hint=_lower(layer, peak),
        )
    before = history.columns["recon_loss"]
    if before and entry["recon_loss"] > DIVERGED * max(1.0, min(before)):
        raise TrainingError(
            f"layer {layer}: training diverged: held-out recon_loss rose from"
            f" {format_figure(min(before))} to {format_figure(entry['recon_loss'])}",
            hint=_lower(layer, peak),
        )
    _check_alive(layer, entry, training, peak)


def dying(layer: AnySite, entry: Mapping[str, float]) -> str | None:
    """A line to show when most features are dead, which is allowed but seldom meant."""
    if entry["dead_rows"] < JUDGED_DEAD_ROWS or entry["dead_fraction"] <= MANY_DEAD:
        return None
    return (
        f"layer {layer}: {format_percent(entry['dead_fraction'])} of the features are dead; a lower"
        " learning_rate or d_hidden, or more rows, reduce that"
    )


def _check_alive(
    layer: AnySite, entry: Mapping[str, float], training: SAETrainingSettings, peak: float
) -> None:
    rows, dead = int(entry["dead_rows"]), entry["dead_fraction"]
    if rows >= JUDGED_DEAD_ROWS and dead > training.max_dead_fraction:
        raise TrainingError(
            f"layer {layer}: collapsed: {format_percent(dead)} of the features did not fire in the"
            f" last {rows:,} training rows, with a learning_rate of {peak:g};"
            f" max_dead_fraction allows {format_percent(training.max_dead_fraction)}",
            hint=_lower(layer, peak),
        )


def _lower(layer: AnySite, peak: float) -> str:
    """The command that trains with a learning rate well below the one that was too high."""
    rate = min(peak / SAFER, HIGHEST_RATE)
    return f"ghosttrack train --layers {layer} --learning-rate {rate:.2g} --overwrite"
