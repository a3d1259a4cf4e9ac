"""The end of a training: calibrate the thresholds, look at all held-out rows, keep the result."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.quantities import format_figure
from ghosttrack_cli.training import reporting
from ghosttrack_cli.training.measure import guard
from ghosttrack_cli.training.measure.calibrate import TOLERANCE, Calibration, Ratios, count_ratios
from ghosttrack_cli.training.measure.evaluate import count_firings
from ghosttrack_cli.training.parts import (
    CALIBRATED,
    CALIBRATION,
    EVALUATION,
    FIRINGS,
    WRITING,
)
from ghosttrack_cli.training.rows.layer_rows import FOLDS
from ghosttrack_cli.training.step.state import DEAD_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from ghosttrack_cli.monitor import Part
    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.training.measure.evaluate import Evaluation
    from ghosttrack_cli.training.session import Session


def finish(session: Session) -> dict[str, Any]:
    """Write the final SAE and the manifest of a finished training, and return the manifest."""
    sae, monitor, survey = session.folded(), session.monitor, session.rows.survey
    held_out = session.rows.validation()
    before = session.look(sae, monitor.counted(EVALUATION, held_out, survey.val_rows, "rows", len))
    after, calibration = before, None
    if session.recipe.objective.holds_l0 and sae.threshold is not None:
        after, calibration = calibrated(session, sae)
    sample, size = session.rows.sample(DEAD_ROWS), min(DEAD_ROWS, survey.train_rows)
    counts = count_firings(sae, monitor.counted(FIRINGS, sample, size, "rows", len))
    monitor.begin(WRITING)
    firing = counts.result()
    session.metrics = reporting.manifest_metrics(session, after, firing.dead_fraction, firing.rows)
    about = {"metrics": session.metrics}
    session.save_sae(sae, "final", counts.rates(), **about)
    _offer_final(session, sae, after, sparsity=counts.rates(), **about)
    session.history.write(session.workspace.history(session.layer))
    _say(session, after)
    warning = guard.dying(session.layer, session.metrics)
    if warning is not None:
        session.monitor.notice(warning)
    return session.write_progress(
        "finished", calibration=_described(calibration, before, after), firing=asdict(firing)
    )


def calibrated(session: Session, sae: SAE) -> tuple[Evaluation, Calibration]:
    """Put the factor of all held-out rows on the thresholds of `sae`, which has its own.

    The evaluation takes each fold of the held-out documents with the factor of the other folds,
    where there are others.
    """
    target = session.recipe.objective.target_l0
    ratios = [Ratios.none() for _ in range(FOLDS)]
    for fold, x in _folds(session, CALIBRATION):
        ratios[fold] += count_ratios(sae, [x])
    whole = sum(ratios, start=Ratios.none())
    others = [whole.without(one) if one.rows < whole.rows else whole for one in ratios]
    factors = [one.calibration(target).factor for one in others]
    thresholds = sae.threshold
    assert thresholds is not None, "only thresholds can be calibrated"
    trained = thresholds.clone()
    evaluation = None
    for fold, x in _folds(session, CALIBRATED):
        thresholds.copy_(trained * factors[fold])
        evaluation = session.look(sae, [x], onto=evaluation)
    assert evaluation is not None, "a survey has held-out rows"
    calibration = whole.calibration(target)
    thresholds.copy_(trained * calibration.factor)
    return evaluation, calibration


def _folds(session: Session, part: Part) -> Iterator[tuple[int, Tensor]]:
    """All held-out rows by fold, as the part `part` of the work."""
    folds, rows = session.rows.folds(), session.rows.survey.val_rows
    return session.monitor.counted(part, folds, rows, "rows", lambda one: len(one[1]))


def _offer_final(session: Session, sae: SAE, evaluation: Evaluation, **about: Any) -> None:
    """Let the final SAE compete for the best one.

    It takes the place of the last evaluation, which had the same weights before they were
    calibrated; without any other it is the best there is. An earlier one stays the best only if it
    is no worse at the sparsity of the final one. Both are compared on the rows that the earlier one
    was seen with.
    """
    best, metrics = session.best, evaluation.metrics
    if best is None or best["step"] == session.step:
        session.keep_best(sae, metrics.fvu, metrics.l0, **about)
    else:
        seen = session.look(sae, session.evaluated_rows()).metrics
        if not _no_worse(best, seen.fvu, seen.l0, session):
            session.keep_best(sae, seen.fvu, seen.l0, **about)
    if best is None and not session.recipe.band.has(metrics.l0):
        session.monitor.notice(
            f"layer {session.layer}: no evaluation after the warm-up had an L0 from"
            f" {session.recipe.band.low:g} to {session.recipe.band.high:g}:"
            f" 'best' is the final SAE, with L0 {format_figure(metrics.l0)}"
        )


def _no_worse(best: dict[str, float], fvu: float, l0: float, session: Session) -> bool:
    """Whether the best SAE so far is as good as the final one, which has this `fvu` and `l0`.

    Where L0 is held, more active features than were asked for would make any SAE look better.
    """
    if not session.recipe.objective.holds_l0:
        return not session.recipe.band.has(l0) or best["fvu"] <= fvu
    return best["fvu"] <= fvu and best["l0"] <= (1 + TOLERANCE) * max(
        l0, session.recipe.objective.target_l0
    )


def _say(session: Session, evaluation: Evaluation) -> None:
    target, l0 = session.recipe.objective.target_l0, evaluation.metrics.l0
    off = l0 / target - 1
    if session.recipe.objective.holds_l0 and abs(off) > TOLERANCE:
        session.monitor.notice(
            f"layer {session.layer}: held-out L0 is {format_figure(l0)}, {off:+.1%} from the target"
            f" {target:g}; more training rows or steps bring it closer"
        )


def _described(
    calibration: Calibration | None, before: Evaluation, after: Evaluation
) -> dict[str, Any] | None:
    """Factor, L0 and FVU before and after, as the manifest has them."""
    if calibration is None:
        return None
    return {
        **asdict(calibration),
        "heldout_l0_before": before.metrics.l0,
        "heldout_l0_after": after.metrics.l0,
        "fvu_before": before.metrics.fvu,
        "fvu_after": after.metrics.fvu,
    }
