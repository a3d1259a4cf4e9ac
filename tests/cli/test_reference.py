"""Every command and flag has help, and docs/commands.md says what the program says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from ghosttrack_cli._version import __version__
from ghosttrack_cli.cli.app import app
from ghosttrack_cli.cli.parser import ORDER
from ghosttrack_cli.cli.reference import command_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Ended

FILE = Path(__file__).parents[2] / "docs" / "commands.md"


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


ROOT: Any = typer.main.get_command(app)
COMMANDS = dict(commands(ROOT))


def test_the_reference_is_current() -> None:
    assert FILE.read_text() == command_reference(app), "run tools/write_docs.py"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_flag_has_help_and_stands_in_the_reference(path: tuple[str, ...]) -> None:
    text = FILE.read_text()
    command = COMMANDS[path]
    assert command.help
    assert f"## ghosttrack {' '.join(path)}\n" in text
    for parameter in command.params:
        assert parameter.help, parameter.name
        for name in parameter.opts:
            if name.startswith("-"):
                assert f"`{name}`" in text


def test_the_commands_are_those_of_the_design() -> None:
    assert {" ".join(path) for path in COMMANDS} == {
        "extract",
        "train",
        "interpret",
        "interpret list",
        "interpret prompt",
        "open",
        "status",
        "run",
        "demo",
        "import",
        "export",
        "config",
        "config show",
        "config init",
    }


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_works_everywhere(
    path: tuple[str, ...], flag: str, ghosttrack: Callable[..., Ended]
) -> None:
    ended = ghosttrack(*path, flag)
    assert ended.code == 0
    assert "Usage: ghosttrack" in ended.out


def test_without_a_command_the_help_is_shown(ghosttrack: Callable[..., Ended]) -> None:
    ended = ghosttrack()
    assert ended.code == 0
    rows = [row.split()[1] for row in ended.out.splitlines() if row.startswith("│ ")]
    places = [rows.index(name) for name in ORDER]
    assert places == sorted(places)


def test_version(ghosttrack: Callable[..., Ended]) -> None:
    assert ghosttrack("--version").out == f"ghosttrack {__version__}\n"


def test_common_options_stand_before_or_after_the_command(ghosttrack: Callable[..., Ended]) -> None:
    for line in (
        ("--workspace", "there", "--json", "status"),
        ("status", "--json", "--workspace", "there"),
        ("--workspace", "elsewhere", "status", "--json", "--workspace", "there"),
    ):
        document = ghosttrack(*line).document
        assert document["workspace"] == "there"
        assert document["next"] == "ghosttrack extract --layer 6 --tokens 1M --workspace there"


def test_config_show_names_origins(ghosttrack: Callable[..., Ended]) -> None:
    Path("ghosttrack.toml").write_text("[sae]\nd_hidden = 64\n")
    settings = ghosttrack("config", "show", "--json").document["settings"]
    assert settings["sae.d_hidden"] == {"value": 64, "origin": "ghosttrack.toml, line 2"}
    assert settings["model.name"] == {"value": "gpt2", "origin": "default"}
    shown = ghosttrack("config", "show").out.splitlines()
    assert shown[0].split() == ["setting", "value", "origin"]
    assert "sae.d_hidden" in next(row for row in shown if "line 2" in row)
