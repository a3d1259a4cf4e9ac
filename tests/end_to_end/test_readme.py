"""The README's commands, word for word, against the stand-in of the hub."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from tests.end_to_end.conftest import DEMO_MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.end_to_end.conftest import Shell
    from tests.hub.server import Hub

SMALL = {
    "GHOSTTRACK_SAE__D_HIDDEN": "128",
    "GHOSTTRACK_SAE__TARGET_L0": "8",
    "GHOSTTRACK_SAE_TRAINING__EPOCHS": "1",
    "GHOSTTRACK_INTERPRETATION__MAX_TOKENS": "50k",
}
"""What a test can wait for; the commands stay as they are written."""

MAIN_PATH = (
    "ghosttrack extract --layer 6 --tokens 1M",
    "ghosttrack train --layers 0,6,11",
    "ghosttrack interpret",
    "ghosttrack status",
)


def test_the_readme_gives_the_main_path(readme_commands: tuple[str, ...]) -> None:
    assert [command for command in readme_commands if command in MAIN_PATH] == list(MAIN_PATH)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_of_the_readme_runs_as_written(
    readme_commands: tuple[str, ...],
    make_shell: Callable[[Mapping[str, str]], Shell],
    hub: Hub,
    tmp_path: Path,
) -> None:
    shell = make_shell({**hub.environment(tmp_path / "home"), **SMALL})
    shutil.copytree(DEMO_MODEL, tmp_path / "my-model")
    write_texts(tmp_path / "my-texts")

    for command in readme_commands:
        if command != "ghosttrack demo":
            shell(command)

    status = json.loads(shell("ghosttrack status --json").stdout)
    assert status["schema"] == 1
    layers = {layer["layer"]: layer for layer in status["layers"]}
    assert set(layers) == {0, 6, 11}
    for layer in layers.values():
        assert layer["rows"] >= 1_000_000
        assert layer["training"]["state"] == "finished"
    assert (tmp_path / "ghosttrack-data" / "interpretations" / "index.html").is_file()


def write_texts(folder: Path) -> None:
    """A folder of texts, as anyone may have one."""
    folder.mkdir()
    for number in range(12):
        words = [
            f"Item {number} of {index} is returned by get({index * 7919})." for index in range(150)
        ]
        (folder / f"text-{number}.txt").write_text(" ".join(words))


def test_without_a_hub_the_error_comes_soon_and_says_what_else_works(
    make_shell: Callable[[Mapping[str, str]], Shell], tmp_path: Path
) -> None:
    shell = make_shell({"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "home")})
    started = time.monotonic()

    failed = shell("ghosttrack extract --layer 6 --tokens 1M", expect=1)

    assert time.monotonic() - started < 10
    assert failed.stdout == ""
    (error,) = (line for line in failed.stderr.splitlines() if line.startswith("error: "))
    assert error.startswith("error: offline: cannot reach the hub")
    for way_out in ("--model DIR", "--corpus PATH", "ghosttrack demo"):
        assert way_out in failed.stderr
    assert not (tmp_path / "ghosttrack-data" / "activations.zarr").exists()
