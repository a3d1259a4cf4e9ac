"""The demo, cut short: the real commands on the packaged model, in a scratch workspace."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ghosttrack_cli.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended

    from ghosttrack_cli.cli.session import Session


@pytest.mark.slow
def test_the_demo_ends_in_features_and_a_page(
    ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GHOSTTRACK_PATHS__WORKSPACE", "mine")
    monkeypatch.setenv("GHOSTTRACK_SAE__D_HIDDEN", "7")
    ended = ghosttrack("demo", "--tokens", "12k", "--epochs", "1", "--workspace", "scratch")
    assert ended.code == 0, ended.err
    for stage in ("1 of 3  extract", "2 of 3  train", "3 of 3  interpret"):
        assert stage in ended.err
    assert "12,000 of 12,000 rows per layer" in ended.out
    assert ended.out.count("top examples") == 3
    page = Path("scratch/interpretations/index.html")
    assert ended.out.splitlines()[-1] == f"open in a browser: {page}"
    assert page.is_file()

    assert "GHOSTTRACK_* variables are not used" in ended.err
    assert not Path("mine").exists()
    command = ended.err.partition("next:\n")[2].splitlines()[0]
    monkeypatch.delenv("GHOSTTRACK_PATHS__WORKSPACE")
    monkeypatch.delenv("GHOSTTRACK_SAE__D_HIDDEN")
    shown = ghosttrack(*shlex.split(command)[1:])
    assert shown.code == 0, shown.err
    trained = ghosttrack("train", "--epochs", "1", "--workspace", "scratch")
    assert trained.code == 0, trained.err
    assert trained.err.count("already trained") == 2
    status = ghosttrack("status", "--workspace", "scratch", "--json").document
    assert status["workspace"] == "scratch"
    assert [layer["layer"] for layer in status["layers"]] == [2, 4]
    assert status["next"] is None
    log = Path("scratch/ghosttrack.log").read_text()
    assert "started: ghosttrack demo" in log
    assert "ended with 0" in log
    again = ghosttrack("demo", "--tokens", "12k", "--epochs", "1", "--workspace", "scratch")
    assert again.code == 0
    assert again.err.count("nothing to do") == 5
    assert not Path("ghosttrack-data").exists()


@pytest.mark.parametrize("name", ["ghosttrack.toml", "notes.txt"])
def test_the_demo_keeps_out_of_folders_that_hold_something(
    ghosttrack: Callable[..., Ended], tmp_path: Path, name: str
) -> None:
    mine = tmp_path / name
    mine.write_text("[sae]\nd_hidden = 7\n")
    ended = ghosttrack("demo", "--workspace", ".")
    assert ended.code == 2
    assert ended.error == (
        f"demo only uses a folder of its own: . holds {name}",
        "leave --workspace out, or name a folder that is empty or does not exist",
    )
    assert mine.read_text() == "[sae]\nd_hidden = 7\n"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_error_of_the_demo_is_about_its_workspace(
    ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(session: Session) -> None:
        with session.stage("train"):
            raise TrainingError("it diverged", hint="ghosttrack train --learning-rate 0.001")

    monkeypatch.setattr("ghosttrack_cli.cli.actions.demo.run_all", failing)
    for given, place in ([], "ghosttrack-demo"), (["--workspace", "there"], "there"):
        ended = ghosttrack("demo", *given)
        assert ended.error == (
            "it diverged",
            f"ghosttrack train --learning-rate 0.001 --workspace {place}",
        )
