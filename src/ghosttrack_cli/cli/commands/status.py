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
        typer.Option("--check", help="Exit with code 3 if a check fails."),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read everything back and verify every checksum."),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Refresh every two seconds until Ctrl-C."),
    ] = False,
) -> None:
    """Show progress, quality, the checklist and the next command.

    Reads only small files, so it is fast for any store; **--verify** reads everything.
    """
    from ghosttrack_cli.cli.actions import status as action

    action.status(session, check=check, verify=verify, watch=watch)
