"""The readers again, with inputs that libFuzzer makes from which lines the last ones reached."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.fault_table import fault
from tests.faults.planted import PLANTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghosttrack_cli.workspace import Workspace

pytestmark = pytest.mark.faults

NAMES = (
    "commit", "checkpoint_record", "tensors", "sae_config", "sae_checksums", "progress", "history",
    "report", "summary", "shard", "prompt", "unfinished_state",
    "remembered_settings", "settings_file", "jsonl", "csv", "truthfulqa", "model_config",
)  # fmt: skip
RUNS = 2_000
MANY_RUNS = 300_000
"""Seconds of a quiet processor; the first finding ends them."""
BOUNDS = ("-timeout=20", "-malloc_limit_mb=512", "-max_len=65536", "-seed=1")


def fuzzed(
    everything: Workspace, tmp_path: Path, name: str, runs: int
) -> subprocess.CompletedProcess[str]:
    """The reader `name` under libFuzzer, to the last run or the first finding."""
    pytest.importorskip("atheris", reason="atheris has no wheel here: pip install '.[fuzz]'")
    workspace, folder = tmp_path / "workspace", tmp_path / "folder"
    shutil.copytree(everything.root, workspace)  # the last input stays in it
    folder.mkdir()
    return subprocess.run(
        [
            sys.executable, "-m", "tests.faults.atheris_target",
            name, workspace, folder, f"-artifact_prefix={tmp_path}/", f"-runs={runs}", *BOUNDS,
        ],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=240,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_input_that_libfuzzer_finds_is_read_badly(
    everything: Workspace,
    tmp_path: Path,
    name: str,
    record_property: Callable[[str, object], None],
) -> None:
    done = fuzzed(everything, tmp_path, name, RUNS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    ran = re.search(r"Done (\d+) runs", done.stderr)
    assert ran, done.stderr[-2000:]
    record_property("fault", fault(f"atheris: {name.replace('_', ' ')}", int(ran[1])))


def test_a_planted_fault_is_found(
    everything: Workspace, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Behind three comparisons, which none of so many random inputs would pass."""
    done = fuzzed(everything, tmp_path, "planted", MANY_RUNS)
    assert done.returncode != 0, done.stderr[-2000:]
    assert "IndexError: the planted fault" in done.stdout + done.stderr
    (finding,) = tmp_path.glob("crash-*")
    assert finding.read_bytes().startswith(PLANTED)
    record_property("fault", fault("atheris: a planted fault is found", 1))
