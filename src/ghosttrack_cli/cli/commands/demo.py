"""`ghosttrack demo`: everything on a small packaged model, without a network."""

from typing import TYPE_CHECKING

import typer

from ghosttrack_cli.cli.command import command
from ghosttrack_cli.cli.demo_settings import DEFAULTS
from ghosttrack_cli.settings.flags import DEMO

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "demo", flags=DEMO, defaults=DEFAULTS)(demo)


def demo(session: "Session") -> None:
    """Try every step in about two minutes: no network or GPU needed.

    Runs the real commands in their own workspace (./ghosttrack-demo): a small packaged GPT-2 reads
    Python's documentation, two SAEs are trained on its activations, and their features are shown.
    """
    from ghosttrack_cli.cli.actions import demo as action

    action.demo(session)
