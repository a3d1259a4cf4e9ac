"""What a session tells: figures while it runs, entries of the history, the manifest."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.monitor import Progress
from ghosttrack_cli.quantities import format_percent
from ghosttrack_cli.training.parts import STEPS
from ghosttrack_cli.training.plan.conditions import FEW_DOCUMENTS, SAY_LITTLE
from ghosttrack_cli.training.step.state import DEAD_ROWS, SUMS
from ghosttrack_cli.training.targets import good_fvu

if TYPE_CHECKING:
    from ghosttrack_cli.training.measure.evaluate import Evaluation
    from ghosttrack_cli.training.session import Session


def progress(session: Session) -> Progress:
    """Where the session is, with the figures that matter."""
    live = session.engine.live()
    figures: dict[str, float | str] = {}
    if live is not None:
        figures = {"loss": live.recon_loss + live.sparsity_loss, "L0": live.l0}
    if len(session.history):
        last = session.history.last()
        figures |= {"FVU": last["fvu"], "dead": format_percent(last["dead_fraction"])}
    return Progress(
        part=STEPS.name,
        done=session.step * session.recipe.batch_size,
        total=session.recipe.total_steps * session.recipe.batch_size,
        unit="tokens",
        figures=figures,
    )


def history_entry(session: Session, evaluation: Evaluation) -> dict[str, float]:
    """One line of the history; the sums of the steps since the last one start anew."""
    sums = dict(zip(SUMS, session.engine.state.sums.tolist(), strict=True))
    session.engine.state.sums.zero_()
    mean = {name: value / max(1.0, sums["steps"]) for name, value in sums.items()}
    dead_fraction, rows = dead(session)
    metrics = evaluation.metrics
    controls = session.recipe.schedule.controls(session.step - 1)
    return {
        "train_loss": mean["recon_loss"] + mean["sparsity_loss"],
        "val_loss": evaluation.loss,
        "recon_loss": metrics.recon_loss,
        "sparsity_loss": evaluation.sparsity_loss,
        "train_sparsity": mean["l0"],
        "sparsity": metrics.l0,
        "lr": controls.learning_rate,
        "step": session.step,
        "epoch": session.step / session.recipe.epoch_steps,
        "train_recon_loss": mean["recon_loss"],
        "fvu": metrics.fvu,
        "mse": metrics.mse,
        "l1": metrics.l1,
        "dead_fraction": dead_fraction,
        "dead_rows": rows,
        "sparsity_weight": controls.sparsity_weight,
        "gradient_norm": mean["gradient_norm"],
        "clipped": mean["clipped"],
        "threshold": session.engine.state.weights.threshold.double().mean().item(),
        "val_rows": metrics.rows,
        "train_rows": round(sums["steps"]) * session.recipe.batch_size,
    }


def dead(session: Session) -> tuple[float, int]:
    """The share of features that did not fire in the newest training rows, and their number."""
    rows = min(DEAD_ROWS, session.step * session.recipe.batch_size)
    quiet = session.engine.state.quiet_rows >= rows
    return quiet.double().mean().item(), rows


def manifest_metrics(
    session: Session, evaluation: Evaluation, dead_fraction: float, dead_rows: int
) -> dict[str, Any]:
    """An evaluation as the manifest has it."""
    return {
        **asdict(evaluation.metrics),
        "dead_fraction": dead_fraction,
        "dead_rows": dead_rows,
        "converged": session.history.settled(),
    }


def manifest(session: Session, state: str) -> dict[str, Any]:
    """What `status` reads."""
    survey = session.rows.survey
    return {
        **session.identity,
        "layer": session.layer.json,
        "state": state,
        "step": session.step,
        "total_steps": session.recipe.total_steps,
        "epoch": session.step / session.recipe.epoch_steps,
        "metrics": session.metrics,
        "best_step": session.best and session.best["step"],
        "best": session.best,
        "expected": expected(session),
        "mask": survey.mask,
        "train_rows": survey.train_rows,
        "val_rows": survey.val_rows,
        "held_out": survey.held_out,
        "scale": survey.scale,
        "seconds": session.elapsed(),
    }


def expected(session: Session) -> dict[str, float]:
    """What the checklist judges this layer by: the accepted L0, and the FVU that is good."""
    D, F = session.engine.state.weights.W_enc.shape
    l0 = session.recipe.objective.target_l0
    return {
        "l0_min": session.recipe.band.low,
        "l0_max": session.recipe.band.high,
        "fvu": good_fvu(l0, D, F),
        "d_hidden": F,
        "target_l0": l0,
    }


def announce(session: Session) -> None:
    """Say what is about to be trained, and what is odd about it."""
    survey, d_hidden = session.rows.survey, session.engine.state.quiet_rows.numel()
    parts = survey.held_out
    if parts["unit"] != "documents" or parts["parts"] < FEW_DOCUMENTS:
        session.monitor.notice(
            f"layer {session.layer}: only {parts['held_out']} of {parts['parts']}"
            f" {parts['unit']} are held out: {SAY_LITTLE}"
        )
    if session.recipe.batch_size < session.training.batch_size:
        session.monitor.notice(
            f"layer {session.layer}: only {survey.train_rows:,} training rows: one batch per epoch"
        )
    objective = session.recipe.objective
    if objective.holds_l0 and objective.target_l0 > d_hidden / 8:
        session.monitor.notice(
            f"layer {session.layer}: target_l0 = {objective.target_l0:g} is a large share"
            f" of d_hidden = {d_hidden}: features will be dense"
        )
