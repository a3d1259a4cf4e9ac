"""Runs what a command does, from its first log line to its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from ghosttrack_cli import runtime
from ghosttrack_cli.cli import failures
from ghosttrack_cli.cli.session import shell_word

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghosttrack_cli.cli.session import Session

NOT_AGAIN = ("overwrite", "yes", "dry_run")


def execute(
    session: Session, function: Callable[..., None], arguments: dict[str, Any], *, logged: bool
) -> None:
    """Run a command's function; every error ends here, as a message and an exit code.

    `logged` writes its start and end to the workspace's log.
    """
    started = runtime.monotonic()
    options = session.options
    try:
        if logged:
            session.log(f"started: {command_line(session, arguments)}")
        function(session, **arguments)
        code = 0
    except BaseException as error:  # noqa: BLE001 - this is where every error ends
        code = failures.report(
            error, session.console, json=bool(options.json), debug=bool(options.debug)
        )
    if logged and session.workspace.root.is_dir():
        session.log(f"ended with {code} after {runtime.monotonic() - started:.1f} s")
    if code:
        raise typer.Exit(code)


def command_line(session: Session, arguments: dict[str, Any]) -> str:
    """The command line that goes on with what this one does: nothing in it deletes."""
    given = {session.labels[key]: value for key, value in session.overrides.items()}
    given |= {
        f"--{name.replace('_', '-')}": value
        for name, value in arguments.items()
        if name not in NOT_AGAIN and value is not None and value is not False
    }
    words = [f"{name} {shell_word(str(value))}" for name, value in given.items()]
    return session.again(" ".join([session.command, *words]))
