"""A workspace that may be read and not written, by a user who is not root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.files import tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ghosttrack_cli.workspace import Workspace

ROOT = Path(__file__).parents[2]
SHOWN = {
    "status": "layer",
    "status --verify": "no bad chunks, no damaged files",
    "interpret list --layer 0": "feature",
    "interpret --layer 0 --feature 1": "feature 1",
    "interpret prompt --layer 0 hello": "layer 0",
    "export --dry-run": "disk:",
    "extract --dry-run": "nothing",
    "config show": "model",
}
"""What reads works, and a part of what it says."""
REFUSED = (
    "extract --overwrite --yes",
    "train --overwrite --yes",
    "interpret --overwrite --yes",
    "export",
    "export --to out",
)
PASSING = {".log", ".lock"}
WRITTEN_BEFORE = ("data/interpretations/browser/", "data/interpretations/prompt.json")
"""By the same lines with more rights."""
NOTHING_TO_DO = ("extract", "train", "interpret")
"""Whether these end well or are refused, they do so in a sentence."""


@pytest.fixture
def read_only(
    everything: Workspace, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A workspace that went through all stages, in a folder that others may read."""
    folder = Path(tempfile.mkdtemp())  # those of pytest are closed to others
    shutil.copytree(everything.root.parent, folder / "here")
    here = folder / "here"
    shutil.copytree(tiny_model, here / "model")
    for path in (folder, *here.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GHOSTTRACK_PATHS__WORKSPACE", "data")
    monkeypatch.setenv("GHOSTTRACK_MODEL__NAME", "model")
    monkeypatch.setenv("GHOSTTRACK_CORPUS__SOURCE", "texts.jsonl")
    here.chmod(0o555)
    yield here
    for path in (folder, here, *here.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(folder)


def test_what_reads_works_and_what_writes_is_refused_in_a_sentence(read_only: Path) -> None:
    lines = [*SHOWN, *REFUSED, *NOTHING_TO_DO]
    before = tree(read_only, without=PASSING)
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.as_other_user", *SHOWN, "--", *lines],
        cwd=read_only,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line, (code, out, err) in zip(lines, json.loads(done.stdout), strict=True):
        assert "unexpected" not in err, (line, err)
        assert "Traceback" not in err, (line, err)
        if line in SHOWN:
            assert code == 0, (line, err)
            assert SHOWN[line] in out, (line, out)
        elif line in REFUSED:
            assert code == 1, (line, err)
            assert "Permission denied" in err, (line, err)
    after = tree(read_only, without=PASSING)
    kept = [name for name in before if not name.startswith(WRITTEN_BEFORE)]
    assert {name: after.get(name) for name in kept} == {name: before[name] for name in kept}
    assert not [name for name in after if name.startswith("out/")]
