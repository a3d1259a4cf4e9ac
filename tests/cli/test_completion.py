"""The shell completes values: words of settings, layers and reports of the workspace, files."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from ghosttrack_cli.cli.actions.feature_list import ORDERS, SEPARATION
from ghosttrack_cli.cli.app import run_program
from ghosttrack_cli.cli.commands.interpret import SORTS
from ghosttrack_cli.workspace import CheckpointKind, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def complete(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], list[str]]:
    """`complete("train --layers ")`: what bash is given for the last word."""

    def run(line: str, shell: str = "bash") -> list[str]:
        words = [*shlex.split(line), *([""] if line.endswith(" ") else [])]
        monkeypatch.setenv("_GHOSTTRACK_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("COMP_WORDS", f"ghosttrack {line}")
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", f"ghosttrack {line}")
        with pytest.raises(SystemExit):
            run_program([])
        return capsys.readouterr().out.split()

    return run


def make(*places: Path) -> None:
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("{}")


@pytest.fixture
def filled() -> Path:
    """A workspace with names only: layers 0, 3 and 11 stored, 3 and 11 trained, 3 interpreted."""
    root = Path("some data")
    place = Workspace(root)
    for layer in (0, 3, 11):
        make(place.store / "layers" / f"{layer:02d}" / "resid_post" / "zarr.json")
    kinds: tuple[CheckpointKind, ...] = get_args(CheckpointKind)
    make(*(place.sae(layer, kind) / "cfg.json" for layer in (3, 11) for kind in kinds))
    make(*(place.report(3, source) / "summary.json" for source in ("store", "truthfulqa")))
    return root


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("extract --layers ", "middle all"),
        ("extract --device ", "auto cpu cuda mps"),
        ("extract --device c", "cpu cuda"),
        ("extract --dtype ", "auto float32 float16 bfloat16"),
        ("extract --store-dtype b", "bfloat16"),
        ("run --compress ", "none lz4 zstd"),
        ("train --sparsity ", "target l0 l1 tanh batchtopk topk"),
        ("train --preset ", "recipe original"),
        ("train --log-to ", "tensorboard wandb"),
        ("train --log-to wandb,", "wandb,tensorboard"),
        ("train --epochs ", "20"),
        ("interpret --checkpoint ", "best final"),
        ("export --checkpoint f", "final"),
        ("interpret list --sort ", " ".join(SORTS)),
        ("interpret list --flag d", "dead dense duplicate"),
        ("tr", "train"),
        ("config ", "show init"),
    ],
)
def test_words(line: str, values: str, complete: Callable[[str], list[str]]) -> None:
    assert complete(line) == values.split()


def test_the_words_are_those_that_the_commands_take() -> None:
    assert set(SORTS) == {*ORDERS, SEPARATION}


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("train --layers ", "0 3 11 all"),
        ("train --layers 0,", "0,3 0,11"),
        ("train --layers 0,3,1", "0,3,11"),
        ("interpret --layer ", "3 11 all"),
        ("interpret prompt --layers ", "3 11 all"),
        ("export --layers 1", "11"),
        ("interpret list --layer ", "3"),
        ("interpret list --source ", "store truthfulqa"),
        ("interpret --source t", "truthfulqa"),
    ],
)
def test_what_is_in_the_workspace(
    line: str, values: str, filled: Path, complete: Callable[[str], list[str]]
) -> None:
    command, _, rest = line.partition(" --")
    assert complete(f"{command} --workspace '{filled}' --{rest}") == values.split()


def test_the_workspace_is_found_as_the_command_finds_it(
    filled: Path, complete: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = ["0", "3", "11", "all"]
    assert complete("train --layers ") == ["all"]
    assert complete(f"--workspace '{filled}' train --layers ") == layers
    file = Path("other.toml")
    file.write_text(f'[paths]\nworkspace = "{filled}"\n')
    assert complete("train --config other.toml --layers ") == layers
    file.rename("ghosttrack.toml")
    assert complete("train --layers ") == layers
    monkeypatch.setenv("GHOSTTRACK_PATHS__WORKSPACE", "empty")
    assert complete("train --layers ") == ["all"]
    assert complete(f"train --workspace '{filled}' --layers ") == layers


def test_nothing_is_known_without_a_workspace(complete: Callable[[str], list[str]]) -> None:
    Path("ghosttrack.toml").write_text("[paths\n")
    assert complete("train --layers ") == ["all"]
    assert complete("interpret list --source ") == []
    assert complete("train --workspace '~nobody-here' --layers ") == ["all"]


@pytest.mark.parametrize(
    "line",
    [
        "train --workspace ",
        "train --config ./",
        "extract --model ./mod",
        "extract --corpus ~/te",
        "interpret --texts folder/",
        "export --to ",
        "config init --path x",
    ],
)
def test_the_shell_completes_paths(line: str, complete: Callable[..., list[str]]) -> None:
    """Bash completes files where a program gives nothing; zsh is told to."""
    Path("folder").mkdir()
    assert complete(line) == []
    assert complete(line, "zsh") == ["_files"]


def test_names_and_files_stand_side_by_side(complete: Callable[[str], list[str]]) -> None:
    make(Path("wiki.txt"), Path("notes.txt"), Path(".hidden"))
    assert complete("extract --corpus w") == ["wikipedia", "wiki.txt"]
    assert complete("interpret --texts ") == [
        *("store", "truthfulqa", "wikipedia"),
        *("notes.txt", "wiki.txt"),
    ]
    assert complete("extract --corpus n") == []


def test_bash_itself(filled: Path, tmp_path: Path) -> None:
    """The script that --show-completion prints, in a shell."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    program = tmp_path / "ghosttrack"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m ghosttrack_cli "$@"\n')
    program.chmod(0o755)
    script = f"""
        source <(_GHOSTTRACK_COMPLETE=source_bash {shlex.quote(str(program))})
        COMP_WORDS=(ghosttrack train --workspace {shlex.quote(repr(str(filled)))} --layers "")
        COMP_CWORD=5
        _ghosttrack_completion {shlex.quote(str(program))}
        echo "${{COMPREPLY[@]}}"
        complete -p ghosttrack
    """
    done = subprocess.run(
        [bash, "--norc", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    layers, registered = done.stdout.splitlines()
    assert layers == "0 3 11 all"
    assert re.fullmatch(r"complete -o default -F _ghosttrack_completion ghosttrack", registered)
