"""`ghosttrack extract`: text through the model into the store."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from ghosttrack_cli.cli.command import DryRun, Overwrite, Yes, command
from ghosttrack_cli.cli.outcome import Outcome, give
from ghosttrack_cli.cli.output import Line, Span, line
from ghosttrack_cli.cli.remembered import remember_model
from ghosttrack_cli.cli.session import Session
from ghosttrack_cli.errors import Stopped
from ghosttrack_cli.flags import EXTRACT
from ghosttrack_cli.quantities import format_bytes, format_layers

if TYPE_CHECKING:
    from ghosttrack_cli.extraction.plan import ExtractionPlan


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "extract", flags=EXTRACT, logged=True)(extract)


def extract(
    session: Session,
    *,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    yes: Yes = False,
) -> None:
    """Run a language model over text and keep its residual stream: corpus to store.

    All layers asked for are stored in one pass. Stop it at any time; the same command goes on
    where it was, and a finished one says so.

        ghosttrack extract --layer 6 --tokens 1M
        ghosttrack extract --model ./my-model --corpus ./texts --layers all --tokens 300k
    """
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


def _plan_lines(planned: "ExtractionPlan") -> list[Line]:
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
