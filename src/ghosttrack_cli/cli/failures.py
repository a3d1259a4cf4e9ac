"""Every way a command can end badly: one message, one hint, one exit code."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import typer

from ghosttrack_cli.errors import GhostTrackError, Stopped

if TYPE_CHECKING:
    from ghosttrack_cli.cli.console import Console

COMMITTED = "Stopped. Progress is saved; run the same command to resume."
DEBUG_HINT = "run it again with --debug for the traceback"


def exit_code(error: BaseException) -> int:
    """The exit code that `error` ends the process with."""
    if isinstance(error, GhostTrackError | Stopped | typer.Exit | typer.TyperException):
        return error.exit_code
    return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1


def explain(error: BaseException) -> tuple[str, str | None]:
    """What went wrong, and what to do next."""
    if isinstance(error, GhostTrackError):
        return error.what, error.hint
    if isinstance(error, typer.TyperException):
        return _usage(error)
    if isinstance(error, MemoryError):
        return "out of memory", "ask for less at once: --batch-size, --context-length"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror}: {error.filename}", DEBUG_HINT
    return f"unexpected {type(error).__name__}: {error}", DEBUG_HINT


def _usage(error: typer.TyperException) -> tuple[str, str]:
    what = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    path = "ghosttrack" if context is None else context.command_path
    what = what.partition(" (Possible options:")[0]
    near = getattr(error, "possibilities", None)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return what[:1].lower() + what[1:], f"{hint}see {path} --help"


def report(error: BaseException, console: Console, *, json: bool, debug: bool) -> int:
    """Tell the user about `error` and return the exit code."""
    code = exit_code(error)
    if isinstance(error, typer.Exit):
        return code
    if isinstance(error, BrokenPipeError):
        console.close()
        return 128 + signal.SIGPIPE
    if debug:
        console.trace(error)
    if isinstance(error, Stopped):
        console.detail(COMMITTED)
        what, hint = COMMITTED, None
    elif isinstance(error, KeyboardInterrupt):
        console.detail("stopped")
        what, hint = "stopped", None
    else:
        what, hint = explain(error)
        console.error(what, hint)
    if json:
        console.document({"error": {"what": what, "hint": hint, "exit_code": code}})
    return code
