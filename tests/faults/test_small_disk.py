"""Train and interpret on a disk of 8 MB that is full, or fills up: nothing lost, then as ever."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.fault_table import fault
from tests.support.files import tree

from ghosttrack_cli import files
from ghosttrack_cli.cli.app import run_program
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.faults

MEGABYTES = 8
FREE = (0, 4, 8, 16, 32, 64, 128, 256, 512)
"""KiB that are free when the command starts."""
COMMANDS = {
    "train": ("train", "--layers", "0", "--overwrite", "--yes", "--seed", "7"),
    "interpret": ("interpret", "--layers", "0", "--overwrite", "--yes"),
}
PASSING = {".log", ".lock"}


def run(stage: str, workspace: Workspace) -> int:
    config = str(workspace.root / "ghosttrack.toml")
    return run_program(
        [*COMMANDS[stage], "--config", config, "--workspace", str(workspace.root), "-q"]
    )


def fill(file: Path, spare: int) -> None:
    """Leave `spare` bytes on the disk of `file`."""
    with file.open("wb") as stream:
        stream.write(bytes(max(0, files.free_bytes(file.parent) - spare)))


def results(workspace: Workspace) -> dict[str, bytes]:
    """SAEs and reports, without the state that training resumes from and seconds."""
    return {
        f"{part}/{name}": data
        for part in ("checkpoints", "interpretations")
        for name, data in tree(workspace.root / part, without=PASSING).items()
        if not any(word in name for word in ("_last/", "_progress", "_metrics", "_history"))
    }


@pytest.mark.parametrize("stage", COMMANDS)
def test_a_full_disk_loses_nothing_and_the_rerun_ends_the_same(
    stage: str,
    everything: Workspace,
    mounted: Callable[[int], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    disk = mounted(MEGABYTES)
    settings = everything.root.parent / "ghosttrack.toml"
    whole, here = Workspace(tmp_path / "whole"), Workspace(disk / "data")
    shutil.copytree(everything.root, whole.root)
    shutil.copy(settings, whole.root)
    assert run(stage, whole) == 0
    expected, refused = results(whole), 0
    for spare in FREE:
        shutil.rmtree(here.root, ignore_errors=True)
        shutil.copytree(everything.root, here.root)
        shutil.copy(settings, here.root)
        before = results(here)
        fill(disk / "filler", spare * 1024)
        capsys.readouterr()
        code = run(stage, here)
        said = capsys.readouterr().err
        if code:
            refused += 1
            assert code == 1, said
            assert "space" in said or "disk" in said, said
            assert "unexpected" not in said, said
            found = results(here)
            assert {name: found[name] for name in before} == before, spare
        (disk / "filler").unlink()
        assert run(stage, here) == 0, capsys.readouterr().err
        assert results(here) == expected, spare
    assert refused >= 2
    record_property("fault", fault(f"a full disk of 8 MB: {stage}", refused))
