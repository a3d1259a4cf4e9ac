"""Help says of every setting what holds without the flag, and of no switch that it is a bool."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import typer
from tests.cli.test_reference import COMMANDS

from ghosttrack_cli.cli.actions.demo import demo_session
from ghosttrack_cli.cli.app import app
from ghosttrack_cli.cli.demo_settings import DEFAULTS
from ghosttrack_cli.cli.options import Options
from ghosttrack_cli.cli.session import Session
from ghosttrack_cli.settings.catalogue import CATALOGUE, shown_default
from ghosttrack_cli.settings.flags import DEMO, INTERPRET, LIST, PROMPT, flags_of
from ghosttrack_cli.settings.resolve import explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended

OWN = {
    "train --layers": "all",
    "interpret --layers": "all",
    "interpret --source": "the newest",
    "interpret --model": "that of the store",
    "interpret prompt --model": "that of the store",
    "interpret list --layer": "the only one",
    "interpret list --sort": "telling; of a search: its best answers",
    "interpret list --limit": "40",
    "interpret list --texts": "whatever the newest report is over",
    "interpret prompt --top": "10",
    "export --checkpoint": "best",
    "export --to": "exports in the workspace",
    "config init --path": "ghosttrack.toml",
    "demo --workspace": "ghosttrack-demo",
    "demo --tokens": "100k",
    "demo --epochs": "3",
    "train --workspace": "ghosttrack-data",
    "train --epochs": "20",
    "extract --batch-size": "automatic",
    "extract --dtype": "auto",
}


def shown(command: str, ghosttrack: Callable[..., Ended], option: str) -> str:
    """What help says of `option`, without frames and line breaks."""
    text = re.sub(r"[│╭╰╮╯─]", " ", ghosttrack(*command.split(), "--help").out)
    words = " ".join(text.split()).replace(",--layer ", " ")
    return re.split(r" --[a-z]", words.rpartition(f" {option} ")[2])[0]


@pytest.mark.parametrize("name", OWN)
def test_the_default_stands_behind_the_meaning(name: str, ghosttrack: Callable[..., Ended]) -> None:
    command, _, option = name.rpartition(" ")
    assert f"[default: {OWN[name]}]" in shown(command, ghosttrack, option)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_setting_flag_shows_its_default(path: tuple[str, ...]) -> None:
    options = {one.name: one.help for one in COMMANDS[path].params}
    store = {"model.name": OWN["interpret --model"]}
    own = {
        DEMO: DEFAULTS,
        LIST: {"interpretation.texts": OWN["interpret list --texts"]},
        INTERPRET: store,
        PROMPT: store,
    }
    for flag in flags_of(path[-1]):
        default = own.get(path[-1], {}).get(flag.keys[0], shown_default(flag.keys[0]))
        assert options[f"set_{flag.parameter}"].endswith(f". [default: {default}]")


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=" ".join)
def test_no_type_stands_beside_a_switch(
    path: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert "bool" not in ghosttrack(*path, "--help").out


def test_the_demo_shows_the_settings_that_it_has() -> None:
    session = demo_session(Session("demo", Options()))
    values = {one.key: one.value for one in explain(session.resolved)}
    settings = {key: CATALOGUE[key] for key in DEFAULTS}
    assert settings.keys() >= {key for flag in flags_of(DEMO) for key in flag.keys}
    assert str(values["paths.workspace"]) == DEFAULTS["paths.workspace"]
    assert (values["extraction.tokens"], DEFAULTS["extraction.tokens"]) == (100_000, "100k")
    assert str(values["sae_training.epochs"]) == DEFAULTS["sae_training.epochs"]


def test_an_option_without_its_value_names_the_command(ghosttrack: Callable[..., Ended]) -> None:
    root: Any = typer.main.get_command(app)
    assert root.name == "ghosttrack"
    for line in ("extract --layers", "interpret list --sort", "config init --path", "--workspace"):
        *path, option = line.split()
        ended = ghosttrack(*line.split())
        assert ended.error == (
            f"option '{option}' requires an argument",
            f"see {' '.join(['ghosttrack', *path])} --help",
        )
