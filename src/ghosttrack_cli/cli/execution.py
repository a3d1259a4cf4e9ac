"""Runs what a command does, from its first log line to its exit code."""

from __future__ import annotations

import platform
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from ghosttrack_cli._version import __version__
from ghosttrack_cli.cli import failures
from ghosttrack_cli.cli.hints import shell_word
from ghosttrack_cli.machine import clock
from ghosttrack_cli.quantities import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ghosttrack_cli.cli.session import Session

NOT_AGAIN = ("overwrite", "yes", "dry_run")


def execute(
    session: Session, function: Callable[..., None], arguments: dict[str, Any], *, logged: bool
) -> None:
    """Run a command's function; every error ends here, as a message and an exit code.

    `logged` writes its start and end to the workspace's log.
    """
    options = session.options
    try:
        if logged:
            session = replace(session, logged=True)
        with log_lines(session, command_line(session, arguments)) if logged else nullcontext():
            function(session, **arguments)
    except BaseException as error:  # noqa: BLE001 - this is where every error ends
        code = failures.report(
            error,
            session.console,
            json=bool(options.json),
            debug=bool(options.debug),
            here=session.here,
        )
        raise typer.Exit(code) from None


@contextmanager
def log_lines(session: Session, words: str) -> Iterator[None]:
    """Write to the workspace's log what is run, and how it ended."""
    started = clock.monotonic()
    code = 0
    session.log(f"started: {words}")
    session.log(f"with {versions()}")
    try:
        yield
    except BaseException as error:
        code = failures.exit_code(error)
        if code and not isinstance(error, typer.Exit):
            what, hint = failures.explain(error)
            session.log(f"error: {what}" + (f"; hint: {hint}" if hint else ""))
        raise
    finally:
        session.log(f"ended with {code} after {format_seconds(clock.monotonic() - started)}")


def versions() -> str:
    """What a run depends on, without loading any of it."""
    from importlib.metadata import PackageNotFoundError, version

    found = [f"ghosttrack {__version__}", f"Python {platform.python_version()}"]
    for name in ("torch", "transformers", "datasets", "zarr"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join([*found, platform.platform()])


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
