"""Every way a command can end badly: one message, one hint, one exit code."""

from __future__ import annotations

import signal
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import typer

from ghosttrack_cli.errors import GhostTrackError, Stopped
from ghosttrack_cli.settings.flags import FLAGS, LIST, PROMPT

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghosttrack_cli.cli.terminal.console import Console

COMMITTED = "Stopped. Progress is saved; run the same command to resume."
NOTHING_CHANGED = "Stopped. Nothing was changed: the earlier results are kept."
ALIKE = 0.7
MEMORY_HINT = (
    "use a smaller --batch-size; for training ghosttrack train --dry-run says how much is needed"
)
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
    if _is_out_of_memory(error):
        return "out of memory", MEMORY_HINT
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror}: {error.filename}", DEBUG_HINT
    return f"unexpected {type(error).__name__}: {error}", DEBUG_HINT


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, the CPU's allocator or a device had no more memory; torch is not loaded."""
    names = {one.__name__ for one in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error)
    )


def _usage(error: typer.TyperException) -> tuple[str, str]:
    what = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    path = "ghosttrack" if context is None else context.command_path
    what = what.partition(" (Possible options:")[0]
    return what[:1].lower() + what[1:], f"{_nearby(error)}see {path} --help"


def _nearby(error: typer.TyperException) -> str:
    """What was meant: an option of other commands, or one that is written much like it."""
    if not hasattr(error, "possibilities"):
        return ""
    name = str(getattr(error, "option_name", ""))
    commands = [command for flag in FLAGS if name in flag.names for command in flag.commands]
    if commands:
        whole = (f"interpret {one}" if one in {PROMPT, LIST} else one for one in commands)
        return f"{name} belongs to {', '.join(dict.fromkeys(whole))}; "
    near = [one for one in error.possibilities or () if _alike(one, name)]
    return f"did you mean {' or '.join(near)}? " if near else ""


def _alike(one: str, other: str) -> bool:
    """Whether two options are alike without their dashes; names of commands come as such."""
    pair = one.lstrip("-"), other.lstrip("-")
    return not other or SequenceMatcher(None, *pair).ratio() >= ALIKE


def report(
    error: BaseException,
    console: Console,
    *,
    json: bool,
    debug: bool,
    here: Callable[[str], str] = str,
) -> int:
    """Tell the user about `error` and return the exit code.

    `here` writes the commands in a hint for the workspace of the command that failed.
    """
    code = exit_code(error)
    if isinstance(error, typer.Exit):
        return code
    if isinstance(error, BrokenPipeError):
        console.close()
        return 128 + signal.SIGPIPE
    if debug:
        console.trace(error)
    if isinstance(error, Stopped):
        what, hint = COMMITTED if error.saved else NOTHING_CHANGED, None
        console.detail(what)
    elif isinstance(error, KeyboardInterrupt):
        console.detail("stopped")
        what, hint = "stopped", None
    else:
        what, hint = explain(error)
        hint = None if hint is None else here(hint)
        console.error(what, hint)
    if json:
        console.document({"error": {"what": what, "hint": hint, "exit_code": code}})
    return code
