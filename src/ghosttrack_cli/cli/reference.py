"""The command reference in Markdown, from the same help that the terminal shows."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import typer

from ghosttrack_cli.cli.options import COMMON
from ghosttrack_cli.cli.parser import ORDER
from ghosttrack_cli.settings.flags import flags_of

if TYPE_CHECKING:
    from collections.abc import Iterator

INTRODUCTION = """\
# Commands

Generated from the help of the commands by `tools/write_docs.py`; a test says when it is not
current. Settings are described in [`ghosttrack.toml`](../ghosttrack.toml): a flag that
has a setting wins over the environment, the environment over the file, the file over the preset,
and the preset over the default.

Results go to stdout, everything else to stderr. Exit codes: 0 done; 1 failed; 2 usage or settings;
3 the state on disk (a conflict, a lock that is held, a check that is not met); 130 and 143 stopped
by SIGINT or SIGTERM with progress saved: run the same command to resume.
"""
EVERYWHERE = """\
## Everywhere

These options go with every command, before or after its name.
"""


def command_reference(app: typer.Typer) -> str:
    """All commands of `app` with their options."""
    root: Any = typer.main.get_command(app)
    parts = [INTRODUCTION, *_commands(root, "ghosttrack"), EVERYWHERE]
    common = [one for one in root.params if one.name in COMMON or one.name == "version"]
    return "\n".join([*parts, _option_table(common, {"workspace": "paths.workspace"})])


def _commands(group: Any, path: str) -> Iterator[str]:
    for name in ORDER if path == "ghosttrack" else group.commands:
        command = group.commands[name]
        yield from _command(command, f"{path} {name}")
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")


def _command(command: Any, path: str) -> Iterator[str]:
    own = [one for one in command.params if one.name not in COMMON]
    keys = {
        f"set_{flag.parameter}": ", ".join(flag.keys) for flag in flags_of(path.rpartition(" ")[2])
    }
    yield f"## {path}\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    arguments = [one for one in own if one.param_type_name == "argument"]
    for one in arguments:
        yield f"`{one.metavar}`: {one.help}\n"
    options = [one for one in own if one.param_type_name == "option"]
    if options:
        yield _option_table(options, keys)


def _option_table(options: list[Any], keys: dict[str, str]) -> str:
    rows = ["| option | meaning | setting |", "| --- | --- | --- |"]
    for one in options:
        names = ", ".join(f"`{name}`" for name in one.opts)
        value = f" {one.metavar}" if one.metavar else ""
        default = f" Default: {one.default}." if _has_default(one) else ""
        key = keys.get(one.name)
        setting = f"`{key}`" if key else ""
        rows.append(f"| {names}{value} | {one.help}{default} | {setting} |")
    return "\n".join(rows) + "\n"


def _has_default(option: Any) -> bool:
    return option.default not in {None, False}
