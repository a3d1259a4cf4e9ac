"""The program: its commands, and how it starts and ends."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ghosttrack_cli._version import __version__
from ghosttrack_cli.cli.command import group
from ghosttrack_cli.cli.commands import (
    config,
    demo,
    export,
    extract,
    import_sae,
    interpret,
    run,
    status,
    train,
)
from ghosttrack_cli.cli.commands import open as open_command
from ghosttrack_cli.cli.parser import Group
from ghosttrack_cli.errors import StateError

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session

WINDOWS = "Windows is not supported: locks and durable writes are those of Linux and macOS"
ELSEWHERE = "use Linux, macOS, or WSL 2, which is Linux (untested)"


app = typer.Typer(
    name="ghosttrack",
    cls=Group,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> bool:
    if asked:
        from ghosttrack_cli.cli.terminal.console import Console

        Console().lines(f"ghosttrack {__version__}")
        raise typer.Exit
    return asked


@group(app, alone=False)
def ghosttrack(
    session: "Session",
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """See what a language model thinks in: sparse features of its residual stream.

    Text goes through a model into a store of activations (**extract**), a sparse autoencoder for
    each layer learns features from them (**train**), and a report shows what the features mean
    (**interpret**). Interrupt any step; rerun the command and it resumes.

    New here? **ghosttrack demo** shows every step on a small packaged model, without a network.
    """


for module in (
    extract,
    train,
    interpret,
    open_command,
    status,
    run,
    demo,
    import_sae,
    export,
    config,
):
    module.register(app)


def main() -> None:
    """Run the program on the command line's arguments and exit."""
    # Looking for plugins of pydantic takes longer than anything else that status does.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    _open_closed_streams()
    _leave(run_program(sys.argv[1:]))


def _open_closed_streams() -> None:
    """Let a stream that was closed, as by `2>&-`, be as /dev/null.

    Otherwise the next file that is opened would take its number, and what is written to the stream.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _leave(code: int) -> NoReturn:
    """End the process at once, with everything said.

    Threads of Arrow that still read ahead from the hub abort the process, or keep it for minutes,
    when the interpreter is taken apart under them (apache/arrow#45214). What the program writes is
    durable before it comes here.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            continue  # nobody reads any more
        except OSError:
            code = code or 1
    os._exit(code)


def run_program(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    if sys.platform == "win32":
        return _report(StateError(WINDOWS, hint=ELSEWHERE), arguments)
    try:
        result = typer.main.get_command(app).main(
            arguments, prog_name="ghosttrack", standalone_mode=False
        )
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # Typer showed the help already
            return 0
        return _report(error, arguments)
    except Exception as error:  # noqa: BLE001 - outside of any command
        return _report(error, arguments)
    return result if isinstance(result, int) else 0


def _report(error: Exception, arguments: list[str]) -> int:
    from ghosttrack_cli.cli import failures
    from ghosttrack_cli.cli.terminal.console import Console

    json, debug = "--json" in arguments, "--debug" in arguments
    return failures.report(error, Console(), json=json, debug=debug)
