"""What a workspace was told is not asked for again, and nothing else is remembered."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.plan_states import StopAfter, stopped

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


@pytest.fixture
def two_widths(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layer 0 was begun 64 wide and stopped, layer 2 was trained 48 wide after that."""
    wide = ("--d-hidden", "64", "--target-l0", "6", "--epochs", "3")
    stopped(monkeypatch, 1, lambda: ghosttrack("train", "--layers", "0", *wide).code)
    assert ghosttrack("train", "--layers", "2", *TRAINED).code == 0


def test_a_layer_goes_on_with_what_it_was_begun_with(
    two_widths: None, ghosttrack: Callable[..., Ended]
) -> None:
    command = ghosttrack("status", "--json").document["next"]
    assert command == "ghosttrack train --layers 0"
    plan = ghosttrack(*shlex.split(command)[1:], "--dry-run", "--json")
    assert plan.code == 0, plan.err
    assert plan.document["plan"][0]["finished_steps"] > 0
    ended = ghosttrack(*shlex.split(command)[1:], "--json")
    assert ended.code == 0, ended.err
    assert ended.document["layers"]["0"]["expected"]["d_hidden"] == 64
    assert "resuming at step" in ended.err
    own = "--d-hidden 64, --target-l0 6.0, --epochs 3"
    said = next(one for one in ended.err.splitlines() if "layer 0: as it was begun: " in one)
    assert sorted(said.partition("begun: ")[2].split(", ")) == sorted(own.split(", "))
    everything = ghosttrack("train")
    assert everything.code == 0, everything.err
    assert everything.err.count("already trained") == 2
    assert "layer 0: as it was begun: " in everything.err
    assert "as before: --d-hidden 48 " in everything.err


def test_what_is_given_now_wins_over_what_a_layer_was_begun_with(
    two_widths: None, ghosttrack: Callable[..., Ended]
) -> None:
    refused = ghosttrack("train", "--layers", "0", "--d-hidden", "48", "--json")
    assert refused.code == 3
    assert "sae.d_hidden: 64 on disk, 48 requested" in refused.document["error"]["what"]
    assert ghosttrack("train", "--layers", "0", "--preset", "original").code == 3
    anew = ghosttrack("train", "--layers", "0", "--overwrite", "--yes", "--json")
    assert anew.code == 0, anew.err
    assert anew.document["layers"]["0"]["expected"]["d_hidden"] == 48


def test_a_settings_file_that_says_otherwise_is_answered_by_flags(
    two_widths: None, ghosttrack: Callable[..., Ended]
) -> None:
    Path("ghosttrack.toml").write_text("[sae]\nd_hidden = 48\n[sae_training]\nepochs = 1\n")
    assert ghosttrack("train", "--layers", "0").code == 3
    command = ghosttrack("status", "--json").document["next"]
    assert command == "ghosttrack train --layers 0 --d-hidden 64 --epochs 3"
    ended = ghosttrack(*shlex.split(command)[1:], "--json")
    assert ended.code == 0, ended.err
    assert ended.document["layers"]["0"]["expected"]["d_hidden"] == 64


def test_an_extraction_is_continued_as_it_was_accepted(
    tiny_model: Path,
    texts: Path,
    ghosttrack: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = (
        "extract", "--model", tiny_model, "--corpus", texts, "--layers", "0", "--tokens", "3k",
        "--context-length", "32", "--batch-size", "4",
    )  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(Session, "_announced", lambda *_: StopAfter(5))
        assert ghosttrack(*command).code == 130
        replaced = ghosttrack(*command, "--context-length", "16", "--overwrite", "--yes")
        assert replaced.code == 130
        assert "Nothing was changed" in replaced.err
    assert ghosttrack("extract", "--context-length", "8").code == 3
    suggested = ghosttrack("status", "--json").document["next"]
    assert suggested == "ghosttrack extract"
    ended = ghosttrack(*shlex.split(suggested)[1:], "--json")
    assert ended.code == 0, ended.err
    assert (ended.document["rows"], ended.document["context_length"]) == (3000, 32)


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
