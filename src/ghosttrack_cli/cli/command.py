"""Turns a function into a command: common options, setting flags, errors, log lines."""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ghosttrack_cli.cli import completion
from ghosttrack_cli.cli.hints import shell_word
from ghosttrack_cli.cli.options import COMMON, HiddenConfig, Options, workspace_option
from ghosttrack_cli.cli.parser import Command
from ghosttrack_cli.settings.flags import Flag, flags_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ghosttrack_cli.cli.session import Session

SETTINGS = "Settings"


def command(
    app: typer.Typer,
    name: str,
    *,
    flags: str | None = None,
    logged: bool = False,
    defaults: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register `function(session, **own options)` as the command `name` of `app`.

    `flags` names the command whose setting flags it takes; `logged` writes its start and end to
    the workspace's log. `defaults` are those of settings, by key, that are the command's own.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        wrapper = _wrap(function, flags_of(flags or ""), logged=logged, defaults=defaults)
        app.command(name, cls=Command)(wrapper)
        return function

    return register


def group(
    app: typer.Typer,
    *,
    flags: str | None = None,
    logged: bool = False,
    alone: bool = True,
    defaults: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as what `app` does itself, if it can stand `alone` without a command."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        wrapper = _wrap(
            function, flags_of(flags or ""), logged=logged, is_group=True, defaults=defaults
        )
        app.callback(invoke_without_command=alone)(wrapper)
        return function

    return register


def _wrap(
    function: Callable[..., None],
    flags: tuple[Flag, ...],
    *,
    logged: bool,
    is_group: bool = False,
    defaults: Mapping[str, str] = MappingProxyType({}),
) -> Callable[..., None]:
    own = list(inspect.signature(function).parameters.values())[1:]

    def wrapper(ctx: typer.Context, **given: Any) -> None:
        from ghosttrack_cli.cli.execution import execute

        session = _session(ctx, flags, given, defaults)
        if is_group and ctx.invoked_subcommand is not None:
            ctx.obj = session.options
            _refuse_before_command(ctx, session, given, own)
            return
        arguments = {parameter.name: given[parameter.name] for parameter in own}
        execute(session, function, arguments, logged=logged and not arguments.get("dry_run"))

    parameters = [
        _parameter("ctx", typer.Context),
        *(_flag_parameter(flag, defaults) for flag in flags),
    ]
    parameters += own
    common = COMMON | {"workspace": workspace_option(defaults.get("paths.workspace"))}
    if defaults:  # the demo, which has a settings file of its own, refuses another in a sentence
        common |= {"config": HiddenConfig}
    parameters += [_parameter(name, option, None) for name, option in common.items()]
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


def _flag_parameter(flag: Flag, defaults: Mapping[str, str]) -> inspect.Parameter:
    option = typer.Option(
        *flag.names,
        metavar=flag.metavar,
        help=flag.help(defaults.get(flag.keys[0])),
        rich_help_panel=SETTINGS,
        autocompletion=completion.of_setting(flag.keys[0]),
    )
    return _parameter(f"set_{flag.parameter}", Annotated[str | None, option], None)


def _session(
    ctx: typer.Context,
    flags: tuple[Flag, ...],
    given: dict[str, Any],
    defaults: Mapping[str, str],
) -> Session:
    outer = ctx.obj if isinstance(ctx.obj, Options) else Options()
    from ghosttrack_cli.cli.session import Session

    options = Options(**{name: given[name] or None for name in COMMON}).over(outer)
    if options.workspace is None:  # the demo has one of its own
        options = replace(options, workspace=defaults.get("paths.workspace"))
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
    stray = [(name, session.overrides[key]) for key, name in session.labels.items()]
    stray += [
        (f"--{one.name.replace('_', '-')}", given[one.name])
        for one in own
        if given[one.name] != one.default
    ]
    if stray:
        from ghosttrack_cli.errors import UsageError

        raise UsageError(
            f"{stray[0][0]} is placed before the command {ctx.invoked_subcommand}",
            hint=_without_stray(ctx, *stray[0]),
        )


def _without_stray(ctx: typer.Context, flag: str, value: Any) -> str:
    """Where the flag belongs: behind the command, or nowhere if the command does not take it."""
    command_line = f"{ctx.command_path} {ctx.invoked_subcommand}"
    inner = getattr(ctx.command, "commands", {}).get(ctx.invoked_subcommand)
    taken = {name for parameter in getattr(inner, "params", ()) for name in parameter.opts}
    for name in (flag, flag.removesuffix("s")):  # --layers of one command is --layer of another
        if name in taken:
            words = name if value is True else f"{name} {shell_word(str(value))}"
            return f"put it after the command: {command_line} {words}"
    return f"{ctx.invoked_subcommand} does not take it, leave it out: see {command_line} --help"
