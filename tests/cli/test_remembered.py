"""What a workspace was told is not asked for again, and nothing else is remembered."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ghosttrack_cli import files
from ghosttrack_cli.cli.options import Options
from ghosttrack_cli.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended

TRAINED = ("--d-hidden", "48", "--target-l0", "5", "--epochs", "1")
DATA = Path("ghosttrack-data")


@pytest.fixture
def extracted(
    tiny_model: Path, texts: Path, environment: None, ghosttrack: Callable[..., Ended]
) -> tuple[str, ...]:
    """A store that was told everything by flags; the folder has no settings file."""
    command = (
        "extract", "--model", str(tiny_model), "--corpus", str(texts), "--layers", "0,2",
        "--tokens", "3k", "--context-length", "32", "--batch-size", "4",
    )  # fmt: skip
    ended = ghosttrack(*command)
    assert ended.code == 0, ended.err
    return command


def shown(ghosttrack: Callable[..., Ended], *arguments: str) -> dict[str, tuple[object, str]]:
    settings = ghosttrack("config", "show", "--json", *arguments).document["settings"]
    return {key: (one["value"], one["origin"]) for key, one in settings.items()}


def test_later_commands_speak_of_what_extract_was_told(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended], tiny_model: Path, texts: Path
) -> None:
    settings = shown(ghosttrack)
    assert settings["model.name"] == (str(tiny_model.resolve()), "remembered from extract")
    assert settings["extraction.context_length"] == (32, "remembered from extract")
    assert settings["sae.d_hidden"] == (4096, "default")
    again = ghosttrack("extract")
    assert again.code == 0
    assert "nothing to do" in again.err
    assert f"as before: --corpus {texts} --context-length 32 " in again.err
    elsewhere = shown(ghosttrack, "--workspace", "other")
    assert elsewhere["model.name"] == ("gpt2", "default")


def test_flags_environment_and_files_win(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    (DATA / "ghosttrack.toml").write_text("[extraction]\ntokens = 5000\n[sae]\nd_hidden = 64\n")
    settings = shown(ghosttrack)
    assert settings["extraction.tokens"] == (5000, "ghosttrack-data/ghosttrack.toml, line 2")
    Path("ghosttrack.toml").write_text("[extraction]\ntokens = 6000\n")
    assert shown(ghosttrack)["extraction.tokens"] == (6000, "ghosttrack.toml, line 2")
    assert shown(ghosttrack)["sae.d_hidden"][0] == 64
    monkeypatch.setenv("GHOSTTRACK_EXTRACTION__TOKENS", "7000")
    assert shown(ghosttrack)["extraction.tokens"][0] == 7000
    assert "3,000 of 3,000" in ghosttrack("status").out


def test_train_is_continued_as_it_was_told(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack("train", "--layers", "0", *TRAINED).code == 0
    command = ghosttrack("status", "--json").document["next"]
    assert command == "ghosttrack train --layers 2"
    rest = ghosttrack(*shlex.split(command)[1:], "--json")
    assert rest.code == 0, rest.err
    assert rest.document["layers"]["2"]["expected"]["d_hidden"] == 48
    assert "as before: --d-hidden 48 --target-l0 5.0 --epochs 1\n" in rest.err
    everything = ghosttrack("train")
    assert everything.code == 0, everything.err
    assert everything.err.count("already trained") == 2


def test_what_was_refused_is_not_remembered(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended], tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in (DATA / "settings").iterdir()}
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"text": "Something else, and long enough to be read. " * 9}))
    assert ghosttrack("extract", "--corpus", str(other)).code == 3
    assert ghosttrack("extract", "--context-length", "16").code == 3
    assert ghosttrack("train", "--target-l0", "5000").code == 2
    assert {path.name: path.read_bytes() for path in (DATA / "settings").iterdir()} == before


def test_secrets_are_not_remembered(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack("extract", "--revision", "https://me:hunter2@host/x").code == 0
    for path in DATA.rglob("*.json"):
        assert b"hunter2" not in path.read_bytes(), path


def test_damage_is_said_and_costs_nothing_else(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    path = DATA / "settings" / "extract.json"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"3000", b"9000"))
    ended = ghosttrack("status")
    assert ended.code == 0
    assert f"damaged: {path}" in ended.err
    assert ghosttrack(*extracted).code == 0  # told again, it is made again
    assert path.read_bytes() == data


def test_of_another_version_it_is_not_used(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    path = DATA / "settings" / "train.json"
    files.write_sealed(path, {"schema": 1, "settings": {"sae.d_hidden": -1, "sae.gone": 2}})
    ended = ghosttrack("status")
    assert ended.code == 0
    assert "do not fit this version" in ended.err


def test_a_failed_command_makes_no_workspace(ghosttrack: Callable[..., Ended]) -> None:
    assert ghosttrack("train", "--workspace", "typo").code != 0
    assert ghosttrack("extract", "--model", "./nowhere", "--workspace", "typo").code != 0
    assert ghosttrack("interpret", "--workspace", "typo").code != 0
    assert not Path("typo").exists()


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("ghosttrack extract", "ghosttrack extract --workspace 'a b'"),
        (
            "ghosttrack train --layers 6 --overwrite trains it anew",
            "ghosttrack train --layers 6 --overwrite --workspace 'a b' trains it anew",
        ),
        (
            "ghosttrack extract --store-dtype float32, or another --workspace",
            "ghosttrack extract --store-dtype float32 --workspace 'a b', or another --workspace",
        ),
        (
            "ghosttrack interpret list --layer 6",
            "ghosttrack interpret list --layer 6 --workspace 'a b'",
        ),
        ("ghosttrack status shows", "ghosttrack status --workspace 'a b' shows"),
        ("ghosttrack train --workspace w", "ghosttrack train --workspace w"),
        ("`ghosttrack demo` needs no model", "`ghosttrack demo` needs no model"),
        ("name another --corpus", "name another --corpus"),
    ],
)
def test_a_command_in_a_hint_is_for_the_same_workspace(hint: str, expected: str) -> None:
    there = Session("train", Options(workspace="a b"))
    assert there.here(hint) == expected
    assert Session("train", Options()).here(hint) == hint


def test_a_hint_can_be_pasted(ghosttrack: Callable[..., Ended]) -> None:
    hint = "ghosttrack extract --workspace elsewhere"
    assert ghosttrack("train", "--workspace", "elsewhere").error[1] == hint
    refused = ghosttrack("interpret", "list", "--workspace", "elsewhere", "--json")
    assert refused.document["error"]["hint"] == "ghosttrack interpret --workspace elsewhere"
