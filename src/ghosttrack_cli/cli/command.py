"""Turns a function into a command: common options, setting flags, errors, log lines."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghosttrack_cli import runtime
from ghosttrack_cli.cli import failures
from ghosttrack_cli.cli.session import Options, Session, shell_word
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.flags import WORKSPACE, Flag, flags_of

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER = ("extract", "train", "interpret", "status", "run", "demo", "config")
NOT_AGAIN = ("overwrite", "yes", "dry_run")
EVERYWHERE = "Everywhere"
SETTINGS = "Settings"

Json = Annotated[
    bool | None,
    typer.Option(
        "--json", metavar="", help="One JSON document on stdout.", rich_help_panel=EVERYWHERE
    ),
]
Quiet = Annotated[
    bool | None,
    typer.Option(
        "--quiet", "-q", metavar="", help="Results and errors only.", rich_help_panel=EVERYWHERE
    ),
]
Verbose = Annotated[
    bool | None,
    typer.Option(
        "--verbose",
        "-v",
        metavar="",
        help="Also what the libraries say.",
        rich_help_panel=EVERYWHERE,
    ),
]
Debug = Annotated[
    bool | None,
    typer.Option("--debug", metavar="", help="Tracebacks with errors.", rich_help_panel=EVERYWHERE),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="PATH",
        help="Settings file; ./ghosttrack.toml if not given.",
        rich_help_panel=EVERYWHERE,
    ),
]
WorkspaceOption = Annotated[
    str | None,
    typer.Option(
        "--workspace",
        metavar=WORKSPACE.metavar,
        help="Folder of store, checkpoints and reports.",
        rich_help_panel=EVERYWHERE,
    ),
]
COMMON = {
    "json": Json,
    "quiet": Quiet,
    "verbose": Verbose,
    "debug": Debug,
    "config": Config,
    "workspace": WorkspaceOption,
}

Layers = Annotated[
    str | None,
    typer.Option(
        "--layers",
        "--layer",
        metavar="LAYERS",
        help="Layers: 6, 0,6,11, 0-5 or all; all if not given.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", metavar="", help="Delete what is there and start anew.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask before deleting.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", metavar="", help="Show the plan and do nothing.")
]


def command(
    app: typer.Typer, name: str, *, flags: str | None = None, logged: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register `function(session, **own options)` as the command `name` of `app`.

    `flags` names the command whose setting flags it takes; `logged` writes its start and end to
    the workspace's log.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        wrapper = _wrap(function, flags_of(flags or ""), logged=logged)
        app.command(name)(wrapper)
        return function

    return register


def group(
    app: typer.Typer, *, flags: str | None = None, logged: bool = False, alone: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as what `app` does itself, if it can stand `alone` without a command."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        wrapper = _wrap(function, flags_of(flags or ""), logged=logged, is_group=True)
        app.callback(invoke_without_command=alone)(wrapper)
        return function

    return register


def _wrap(
    function: Callable[..., None],
    flags: tuple[Flag, ...],
    *,
    logged: bool,
    is_group: bool = False,
) -> Callable[..., None]:
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

    def wrapper(ctx: typer.Context, **given: Any) -> None:
        session = _session(ctx, flags, given)
        if is_group and ctx.invoked_subcommand is not None:
            ctx.obj = session.options
            _refuse_before_command(ctx, session, given, own)
            return
        arguments = {parameter.name: given[parameter.name] for parameter in own}
        _run(session, function, arguments, logged=logged and not arguments.get("dry_run"))

    parameters = [_parameter("ctx", typer.Context), *(_flag_parameter(flag) for flag in flags)]
    parameters += own
    parameters += [_parameter(name, option, None) for name, option in COMMON.items()]
    wrapper.__doc__ = function.__doc__
    wrapper.__name__ = function.__name__
    wrapper.__annotations__ = {one.name: one.annotation for one in parameters}
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return wrapper


def _parameter(
    name: str, annotation: Any, default: Any = inspect.Parameter.empty
) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _flag_parameter(flag: Flag) -> inspect.Parameter:
    option = typer.Option(
        *flag.names,
        metavar=flag.metavar,
        help=f"{flag.help[0].upper()}{flag.help[1:]}.",
        rich_help_panel=SETTINGS,
    )
    return _parameter(f"set_{flag.parameter}", Annotated[str | None, option], None)


def _session(ctx: typer.Context, flags: tuple[Flag, ...], given: dict[str, Any]) -> Session:
    outer = ctx.obj if isinstance(ctx.obj, Options) else Options()
    options = Options(**{name: given[name] or None for name in COMMON}).over(outer)
    overrides: dict[str, Any] = {}
    labels: dict[str, str] = {}
    for flag in flags:
        value = given[f"set_{flag.parameter}"]
        if value is not None:
            overrides |= dict.fromkeys(flag.keys, value)
            labels |= dict.fromkeys(flag.keys, flag.names[0])
    return Session(ctx.command_path.partition(" ")[2], options, overrides, labels)


def _refuse_before_command(
    ctx: typer.Context, session: Session, given: dict[str, Any], own: list[inspect.Parameter]
) -> None:
    stray = [*session.labels.values()]
    stray += [f"--{one.name.replace('_', '-')}" for one in own if given[one.name] != one.default]
    if stray:
        raise UsageError(
            f"{stray[0]} stands before the command {ctx.invoked_subcommand}",
            hint=f"put it behind: {ctx.command_path} {ctx.invoked_subcommand} {stray[0]}",
        )


def _run(
    session: Session, function: Callable[..., None], arguments: dict[str, Any], *, logged: bool
) -> None:
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
