"""`ghosttrack run`: extract, train, interpret in one go."""

import typer

from ghosttrack_cli.cli.command import DryRun, command
from ghosttrack_cli.cli.extract import plan_extraction, run_extraction
from ghosttrack_cli.cli.interpret import interpret_layers, trained_layers
from ghosttrack_cli.cli.outcome import Outcome, give
from ghosttrack_cli.cli.output import Line, Span, Table, line
from ghosttrack_cli.cli.session import Session
from ghosttrack_cli.cli.train import stored_layers, train_layers
from ghosttrack_cli.flags import RUN


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "run", flags=RUN, logged=True)(run)


def run(session: Session, *, dry_run: DryRun = False) -> None:
    """Extract, train and interpret, one after the other; what is done already is skipped.

    ghosttrack run --layers all --tokens 10M --device cuda
    """
    if dry_run:
        give(session, plan_extraction(session))
        return
    give(session, run_all(session))


def run_all(session: Session) -> Outcome:
    """Run the three stages and put their outcomes together."""
    session.console.detail(line(Span("1 of 3  extract", "bold")))
    extracted = run_extraction(session, overwrite=False)
    session.console.detail(*_lines(extracted), line(Span("2 of 3  train", "bold")))
    trained = train_layers(session, stored_layers(session, None))
    session.console.detail(line(Span("3 of 3  interpret", "bold")))
    interpreted = interpret_layers(session, trained_layers(session, None))
    document = {
        "extract": extracted.document,
        "train": trained.document,
        "interpret": interpreted.document,
    }
    blocks: list[Line | Table] = [*trained.blocks, *interpreted.blocks]
    return Outcome(document, blocks, "status")


def _lines(outcome: Outcome) -> list[Line]:
    return [block for block in outcome.blocks if not isinstance(block, Table)]
