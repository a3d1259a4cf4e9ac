"""Error, hint and exit code for what cannot be done: golden pairs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import torch

from ghosttrack_cli.cli import failures
from ghosttrack_cli.settings.flags import FLAGS
from ghosttrack_cli.training.records.loggers import MODULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended

AMOUNT = "an amount from 1 to 10,000,000,000,000, written 250000, 300k or 1M"
CASES = {
    "extrct": (
        2,
        "no such command 'extrct'. Did you mean 'extract', 'export'?",
        "see ghosttrack --help",
    ),
    "extract --tokns 5": (
        2,
        "no such option: --tokns",
        "did you mean --tokens? see ghosttrack extract --help",
    ),
    "train --tokens 5": (
        2,
        "no such option: --tokens",
        "--tokens belongs to extract, run, demo; see ghosttrack train --help",
    ),
    "train --yess": (
        2,
        "no such option: --yess",
        "did you mean --yes? see ghosttrack train --help",
    ),
    "extract --layers": (
        2,
        "option '--layers' requires an argument",
        "see ghosttrack extract --help",
    ),
    "extract --tokens -1": (
        2,
        f"--tokens: -1 is not valid, it takes {AMOUNT}",
        "extraction.tokens: tokens to store per layer: 250000, 300k, 1M",
    ),
    "extract --compress zip": (
        2,
        "--compress: zip is not valid, it takes one of none, lz4, zstd",
        "extraction.compress: chunk compression, with bitshuffle: none, lz4 or zstd",
    ),
    "extract --repair --overwrite": (
        2,
        "--repair and --overwrite cannot be used together",
        "use one of them",
    ),
    "train --epochs many": (
        2,
        "--epochs: many is not valid, it takes a whole number at least 1",
        "sae_training.epochs: passes over the stored rows",
    ),
    "status --config nowhere.toml": (
        2,
        "--config: no such file: nowhere.toml",
        "ghosttrack config init --path nowhere.toml writes a file with every key and its meaning",
    ),
    "status --watch --json": (
        2,
        "--watch and --json cannot be used together",
        "use one of them",
    ),
    "train": (
        3,
        "no activation store: ghosttrack-data/activations.zarr",
        "ghosttrack extract",
    ),
    "status --verify": (
        3,
        "no activation store: ghosttrack-data/activations.zarr",
        "ghosttrack extract",
    ),
    "status --check": (
        3,
        (
            "the checklist failed: SAEs trained, FVU, active features per"
            " token, interpretations saved, active features, training converged"
        ),
        "ghosttrack extract --layer 6 --tokens 1M",
    ),
    "interpret --workspace here": (
        3,
        "no trained SAE in here/checkpoints",
        "ghosttrack train --workspace here",
    ),
    "interpret prompt ghost": (
        3,
        "no trained SAE in ghosttrack-data/checkpoints",
        "ghosttrack train",
    ),
    "export --workspace here": (
        3,
        "no trained SAE in here/checkpoints",
        "ghosttrack train --workspace here",
    ),
    "interpret --feature 3": (
        3,
        "no interpreted layer in ghosttrack-data/interpretations",
        "ghosttrack interpret",
    ),
    "interpret --feature 3 --layer 1,2": (
        2,
        "--layer: name one layer",
        "--layer 1 --feature 3",
    ),
    "interpret --model x list": (
        2,
        "--model is placed before the command list",
        "list does not take it, leave it out: see ghosttrack interpret list --help",
    ),
    "interpret --model x prompt hi": (
        2,
        "--model is placed before the command prompt",
        "put it after the command: ghosttrack interpret prompt --model x",
    ),
    "interpret --layers 6 list": (
        2,
        "--layers is placed before the command list",
        "put it after the command: ghosttrack interpret list --layer 6",
    ),
    "demo --config other.toml": (
        2,
        "demo uses its own settings file",
        "leave --config out, or use ghosttrack run --config other.toml --workspace ghosttrack-data",
    ),
}


@pytest.mark.parametrize("line", CASES)
def test_golden(line: str, ghosttrack: Callable[..., Ended]) -> None:
    code, what, hint = CASES[line]
    ended = ghosttrack(*line.split())
    assert (ended.code, *ended.error) == (code, what, hint)
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("line", [line for line in CASES if line != "status --check"])
def test_the_same_as_json(line: str, ghosttrack: Callable[..., Ended]) -> None:
    code, what, hint = CASES[line]
    ended = ghosttrack("--json", *line.split())
    assert ended.document["error"] == {"what": what, "hint": hint, "exit_code": code}


@pytest.mark.parametrize("command", ["train", "train --dry-run", "run"])
@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_logger_that_is_missing_is_said_before_any_work(
    ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    """Before anything is asked for, too: there is neither a store nor a model here."""
    monkeypatch.setitem(sys.modules, MODULES[name], None)
    Path("ghosttrack.toml").write_text(f'[sae_training]\nlog_to = "{name}"\n')
    ended = ghosttrack(*command.split())
    assert (ended.code, *ended.error) == (
        2,
        f"log_to: {name} is not installed",
        f"pip install 'ghosttrack[{name}]'",
    )
    assert ended.err.count("\n") == 2


@pytest.mark.parametrize("command", ["train", "run"])
def test_layers_at_once_beside_wandb_are_refused_before_any_work(
    ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setitem(sys.modules, MODULES["wandb"], ModuleType("wandb"))
    Path("ghosttrack.toml").write_text('[sae_training]\nlog_to = "wandb"\nlayers_at_once = 2\n')
    ended = ghosttrack(*command.split())
    assert ended.code == 2
    assert ended.error[0].startswith(
        "layers_at_once: 2 requested, but layers train in parallel only on a"
    )


def test_check_gives_one_document(ghosttrack: Callable[..., Ended]) -> None:
    ended = ghosttrack("status", "--check", "--json")
    assert ended.code == 3
    assert ended.document["met"] is False


def test_debug_shows_the_traceback(ghosttrack: Callable[..., Ended]) -> None:
    assert "Traceback" in ghosttrack("train", "--debug").err


def test_an_error_that_nobody_expected(
    ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a \x1b[31mred\x1b[0m mistake")

    monkeypatch.setattr("ghosttrack_cli.cli.actions.status.gather", broken)
    ended = ghosttrack("status")
    assert ended.code == 1
    assert ended.error == (
        r"unexpected RuntimeError: a \x1b[31mred\x1b[0m mistake",
        "run it again with --debug for the traceback",
    )


def test_secrets_do_not_show(
    ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GHOSTTRACK_HF_TOKEN", "hf_secretsecret")
    Path("ghosttrack.toml").write_text('[model]\nname = "hf_secretsecret"\n')
    for debug in ([], ["--debug"]):
        ended = ghosttrack("status", *debug)
        assert ended.code == 2
        assert "hf_secret" not in ended.out + ended.err


def test_config_init_does_not_replace_a_file(ghosttrack: Callable[..., Ended]) -> None:
    assert ghosttrack("config", "init").code == 0
    kept = Path("ghosttrack.toml")
    kept.write_text("# mine\n")
    ended = ghosttrack("config", "init")
    assert (ended.code, *ended.error) == (
        2,
        "file already exists: ghosttrack.toml",
        "add --yes to replace it",
    )
    assert kept.read_text() == "# mine\n"
    assert ghosttrack("config", "init", "--yes").code == 0
    assert kept.read_text() != "# mine\n"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_no_memory_is_said_with_flags_that_there_are(error: Exception) -> None:
    what, hint = failures.explain(error)
    assert what == "out of memory"
    named = re.findall(r"--[a-z-]+", str(hint))
    assert named == ["--batch-size", "--dry-run"]
    for command in ("extract", "train"):
        assert any(command in one.commands for one in FLAGS if "--batch-size" in one.names)
