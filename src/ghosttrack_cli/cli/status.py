"""`ghosttrack status`: what exists, how good it is, what comes next."""

from typing import TYPE_CHECKING, Annotated

import typer

from ghosttrack_cli.cli.command import command

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "status")(status)


def status(
    session: "Session",
    *,
    check: Annotated[
        bool,
        typer.Option("--check", metavar="", help="Exit with 3 unless the whole checklist holds."),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", metavar="", help="Read the store back and compare every checksum."
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", metavar="", help="Show it again every two seconds, until Ctrl-C."),
    ] = False,
) -> None:
    """Show what exists, how good it is, whether the checklist holds, and what to run next.

    Only small manifests are read, so it is quick whatever the store's size; **--verify** reads
    everything.
    """
    from ghosttrack_cli.cli.actions import status as action

    action.status(session, check=check, verify=verify, watch=watch)
