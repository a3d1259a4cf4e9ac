"""`ghosttrack run`: extract, train, interpret in one go."""

from typing import TYPE_CHECKING

import typer

from ghosttrack_cli.cli.command import command
from ghosttrack_cli.cli.options import DryRun
from ghosttrack_cli.settings.flags import RUN

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "run", flags=RUN, logged=True)(run)


def run(session: "Session", *, dry_run: DryRun = False) -> None:
    """Extract, train and interpret in one go; finished steps are skipped.

    ghosttrack run --layers all --tokens 10M --device cuda
    """
    from ghosttrack_cli.cli.actions import run as action

    action.run(session, dry_run=dry_run)
