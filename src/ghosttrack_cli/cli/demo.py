"""`ghosttrack demo`: everything on a small packaged model, without a network."""

from typing import TYPE_CHECKING

import typer

from ghosttrack_cli.cli.command import command
from ghosttrack_cli.flags import DEMO

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "demo", flags=DEMO)(demo)


def demo(session: "Session") -> None:
    """Show everything in two minutes: a small packaged model, no network, no accelerator.

    Runs the real commands, in a scratch workspace (./ghosttrack-demo) with settings of its own:
    a small GPT-2 reads the documentation that every Python carries, two SAEs learn features from
    it, and their meaning is shown.
    """
    from ghosttrack_cli.cli.actions import demo as action

    action.demo(session)
