"""Extraction from the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ghosttrack_cli.cli.actions.outcome import Outcome, give
from ghosttrack_cli.cli.actions.remembered import remember_model
from ghosttrack_cli.cli.output import Line, Span, line
from ghosttrack_cli.errors import Stopped
from ghosttrack_cli.quantities import format_bytes, format_layers

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.extraction.plan import ExtractionPlan


def extract(
    session: Session,
    *,
    dry_run: bool,
    overwrite: bool,
    yes: bool,
) -> None:
    """Plan the extraction, or do it."""
    if dry_run:
        give(session, plan_extraction(session))
        return
    if overwrite and session.workspace.store.exists():
        session.confirm_overwrite(f"{session.workspace.store}", yes=yes)
    give(session, run_extraction(session, overwrite=overwrite))


def run_extraction(session: Session, *, overwrite: bool) -> Outcome:
    """Extract what the settings ask for."""
    from ghosttrack_cli.extraction.extract import extract as run

    settings, workspace = session.settings, session.workspace
    with session.monitor() as monitor:
        try:
            result = run(
                settings.model,
                settings.corpus,
                settings.extraction,
                workspace,
                monitor,
                cache_dir=settings.paths.cache_dir,
                overwrite=overwrite,
            )
        except Stopped:
            remember_model(session)
            raise
    remember_model(session)
    words = (
        f"{result.rows:,} tokens of layers {format_layers(result.layers)}"
        f" ({format_bytes(result.bytes)}) are in {result.store}"
    )
    return Outcome(vars(result), [line(words)], "train")


def plan_extraction(session: Session) -> Outcome:
    """What extraction would do, with bytes needed against bytes free."""
    from ghosttrack_cli.extraction.plan import plan

    settings = session.settings
    planned = plan(
        settings.model,
        settings.corpus,
        settings.extraction,
        session.workspace,
        cache_dir=settings.paths.cache_dir,
    )
    return Outcome({"plan": asdict(planned)}, _plan_lines(planned))


def _plan_lines(planned: ExtractionPlan) -> list[Line]:
    model = planned.model
    batch = "found by itself" if planned.batch_size is None else f"{planned.batch_size} windows"
    facts = {
        "action": planned.action,
        "model": f"{model.name}, {model.n_layers} layers, d_model {model.d_model}",
        "computes in": planned.model_dtype,
        "corpus": planned.corpus,
        "layers": format_layers(planned.layers),
        "tokens": f"{planned.rows:,} a layer, {planned.rows_done:,} of them stored already",
        "windows": f"{planned.context_length} tokens; batch: {batch}",
        "stores": planned.dtype,
        "disk": f"{format_bytes(planned.bytes_needed)} needed,"
        f" {format_bytes(planned.bytes_free)} free",
    }
    return [line(Span(f"{name:12}", "bold"), fact) for name, fact in facts.items()]
