"""Every call to the disk fails, once and for good: an error that says where, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.fault_table import fault
from tests.store import kills
from tests.store.kills import Failing, Failpoints
from tests.support.files import tree
from tests.support.settings import small_settings

from ghosttrack_cli.browser import writer
from ghosttrack_cli.cli.app import run_program
from ghosttrack_cli.model.residual import ResidualModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

OPTIONS = ("--config", "settings.toml", "--workspace", "data", "-q")
SETTINGS = {
    "extract": small_settings(extraction={"layers": "0", "tokens": 600}),
    "interpret": small_settings(extraction={"layers": "0", "tokens": 600}, sae={"d_hidden": 16}),
}
"""As little as has every kind of call."""
FAILURES = [
    (errno.EIO, False, 1),
    (errno.ENOSPC, True, 1),
    (errno.EMFILE, False, 4),
    (errno.EACCES, True, 4),
]
"""Each call fails once, and it and all after it do; of the rarer errors one call in four."""
ASSETS = 2
"""Scripts and styles of the page, which are all written by the same line."""
COMMITTED = {"extract": "activations.zarr", "interpret": "interpretations"}


@pytest.fixture
def folder(
    tmp_path: Path, tiny_model: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder with a model, texts and settings; files are written without waiting for the disk."""
    for name in ("SCRIPTS", "STYLES"):
        monkeypatch.setattr(writer, name, getattr(writer, name)[:ASSETS])
    monkeypatch.setattr(ResidualModel, "load", loaded_once(ResidualModel.load))
    lines = [
        json.dumps({"text": f"Document {n} tells of number {n * 7919}. " * 6}) for n in range(60)
    ]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines) + "\n")
    source = f'[model]\nname = "{tiny_model}"\n[corpus]\nsource = "texts.jsonl"\n'
    (tmp_path / "settings.toml").write_text(source + SETTINGS[stage])
    monkeypatch.chdir(tmp_path)
    kills.install(Failpoints(0, kills.never))
    yield tmp_path
    kills.uninstall()


def loaded_once(load: Callable[..., ResidualModel]) -> Callable[..., ResidualModel]:
    """`load` that gives what it gave before: a model on disk is read by no call that is counted."""
    loaded: list[ResidualModel] = []

    def again(*arguments: Any, **options: Any) -> ResidualModel:
        loaded[:] = loaded or [load(*arguments, **options)]
        return loaded[0]

    return again


def run(*command: str) -> int:
    return run_program([*command, *OPTIONS])


@pytest.mark.parametrize(("number", "for_good", "every"), FAILURES)
@pytest.mark.parametrize("stage", ["extract", "interpret"])
def test_every_call_that_fails_loses_nothing(
    folder: Path,
    stage: str,
    number: int,
    for_good: bool,
    every: int,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    before = folder / "before"
    if stage == "interpret":
        assert run("extract") == 0
        assert run("train") == 0
        shutil.copytree(folder / "data", before)
    assert run(stage) == 0
    whole = tree(folder / "data" / COMMITTED[stage])
    at, count, failed = 1, 0, True
    while failed:
        shutil.rmtree(folder / "data")
        if before.exists():
            shutil.copytree(before, folder / "data")
        capsys.readouterr()
        failing = Failing(at, number, for_good=for_good)
        kills.install(failing)
        code = run(stage)
        kills.install(Failpoints(0, kills.never))
        said = capsys.readouterr().err
        failed = failing.failed
        if failed and code:  # the log and what is remembered may fail without an end
            assert code == 1, (at, said)
            assert "data" in said, (at, said)
            assert os.strerror(number) in said, (at, said)
            assert "unexpected" not in said, (at, said)
        assert run("status") == 0, capsys.readouterr().err
        assert run(stage) == 0, (at, capsys.readouterr().err)
        assert tree(folder / "data" / COMMITTED[stage]) == whole, at
        at, count = at + every, count + failed
    assert count >= 100 // every
    name = f"{errno.errorcode[number]} {'for good' if for_good else 'once'}: {stage}"
    record_property("fault", fault(name, count))
