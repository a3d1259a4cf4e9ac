"""`ghosttrack open`: the page of all interpreted features, in the browser."""

from typing import TYPE_CHECKING

import typer

from ghosttrack_cli.cli.command import command

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "open")(open_page)


def open_page(session: "Session") -> None:
    """Open the page with all interpreted features in a browser.

    The page works without a network. Its path is printed too, for machines without a display.

        ghosttrack open
    """
    from ghosttrack_cli.cli.actions import open as action

    action.open_page(session)
