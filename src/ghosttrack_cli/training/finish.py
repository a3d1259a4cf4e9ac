"""The end of a training: calibrate the thresholds, look at all held-out rows, keep the result."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.training import guard
from ghosttrack_cli.training.calibrate import TOLERANCE, Calibration, calibrate
from ghosttrack_cli.training.evaluate import count_firings
from ghosttrack_cli.training.state import DEAD_ROWS

if TYPE_CHECKING:
    from ghosttrack_cli.sae import JumpReLUSAE
    from ghosttrack_cli.training.evaluate import Evaluation
    from ghosttrack_cli.training.session import Session

CALIBRATION_ROWS = 131_072


def finish(session: Session) -> dict[str, Any]:
    """Write the final SAE and the manifest of a finished training, and return the manifest."""
    sae = session.folded()
    before = session.look(sae, session.rows.validation())
    calibration = None
    after = before
    if session.objective.sparsity == "target":
        sample = session.rows.sample(CALIBRATION_ROWS)
        calibration = calibrate(sae, sample, session.objective.target_l0)
        sae.threshold.mul_(calibration.factor)
        after = session.look(sae, session.rows.validation())
    counts = count_firings(sae, session.rows.sample(DEAD_ROWS))
    firing = counts.result()
    session.metrics = session.measures(after, firing.dead_fraction, firing.rows)
    about = {"metrics": session.metrics}
    session.save_sae(sae, "final", counts.rates(), **about)
    _offer_final(session, sae, after, **about)
    session.history.write(session.workspace.history(session.layer))
    _say(session, after)
    warning = guard.dying(session.layer, session.metrics)
    if warning is not None:
        session.monitor.notice(warning)
    return session.write_progress(
        "finished",
        calibration=_calibration(calibration, before, after),
        firing=asdict(firing),
    )


def _offer_final(session: Session, sae: JumpReLUSAE, evaluation: Evaluation, **about: Any) -> None:
    """Let the final SAE compete for the best one; without any other it is the best there is."""
    metrics = evaluation.metrics
    session.offer(sae, metrics.fvu, metrics.l0)
    if session.best is None:
        session.best = {"step": session.step, "fvu": metrics.fvu, "l0": metrics.l0}
        session.save_sae(sae, "best", **about)
        low, high = session.training.target_sparsity_min, session.training.target_sparsity_max
        session.monitor.notice(
            f"layer {session.layer}: no evaluation had an L0 from {low:g} to {high:g}:"
            f" 'best' is the final SAE, with L0 {metrics.l0:.1f}"
        )


def _say(session: Session, evaluation: Evaluation) -> None:
    target, l0 = session.objective.target_l0, evaluation.metrics.l0
    off = l0 / target - 1
    if session.objective.sparsity == "target" and abs(off) > TOLERANCE:
        session.monitor.notice(
            f"layer {session.layer}: held-out L0 is {l0:.1f}, {off:+.1%} from the target"
            f" {target:g}; more training rows or steps bring it closer"
        )


def _calibration(
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
