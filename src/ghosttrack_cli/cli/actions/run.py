"""All stages from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.cli.actions.extract import plan_extraction, run_extraction
from ghosttrack_cli.cli.actions.interpret import interpret_layers, layers_to_interpret
from ghosttrack_cli.cli.actions.outcome import Outcome, give
from ghosttrack_cli.cli.actions.train import check_settings, stored_layers, train_layers
from ghosttrack_cli.cli.output import Line, Span, Table, line
from ghosttrack_cli.quantities import format_layers

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session


def run(session: Session, *, dry_run: bool) -> None:
    """Plan the extraction, or do all three stages."""
    if dry_run:
        give(session, plan_extraction(session))
        return
    give(session, run_all(session))


def run_all(session: Session) -> Outcome:
    """Run the three stages and put their outcomes together."""
    check_settings(session)
    session.console.detail(line(Span("1 of 3  extract", "bold")))
    extracted = run_extraction(session, overwrite=False)
    session.console.detail(*_lines(extracted), line(Span("2 of 3  train", "bold")))
    asked = format_layers(extracted.document["layers"])
    trained = train_layers(session, stored_layers(session, asked))
    session.console.detail(line(Span("3 of 3  interpret", "bold")))
    interpreted = interpret_layers(session, layers_to_interpret(session, asked))
    document = {
        "extract": extracted.document,
        "train": trained.document,
        "interpret": interpreted.document,
    }
    blocks: list[Line | Table] = [*trained.blocks, *interpreted.blocks]
    return Outcome(document, blocks, "status")


def _lines(outcome: Outcome) -> list[Line]:
    return [block for block in outcome.blocks if not isinstance(block, Table)]
