"""kill -9 between any two system calls, twice and more a run; then the bytes of an unkilled run."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.store import synthetic

from ghosttrack_cli.store.commit import has_store, read_commit
from ghosttrack_cli.store.reader import ActivationStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ghosttrack_cli.store.verify import BadChunk

pytestmark = pytest.mark.usefixtures("small_segments", "no_fsync")

SCENARIOS: dict[str, list[dict[str, Any]]] = {
    "two layers": [{"layers": [0, 3], "asked": 333}],
    "stopped, then grown": [
        {"layers": [1], "asked": 333, "batches": 2},
        {"layers": [1], "asked": 150},
        {"layers": [1], "asked": 333},
    ],
    "layer added": [{"layers": [3], "asked": 250}, {"layers": [0], "asked": 250}],
    "compressed": [
        {"layers": [0], "asked": 250, "identity": {"compress": "lz4", "dtype": "bfloat16"}}
    ],
}


def run_and_die(path: Path, kill_at: int, options: dict[str, Any]) -> bool:
    """Whether a run was killed before it ended."""
    done = subprocess.run(
        [sys.executable, synthetic.__file__, str(path), str(kill_at), json.dumps(options)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode in {0, -9}, done.stderr
    return done.returncode == -9


def run_whole(path: Path, options: dict[str, Any]) -> list[str]:
    """The system calls of a run that is left alone."""
    failpoints = synthetic.Failpoints(0, lambda: None)
    synthetic.install(failpoints)
    synthetic.plan(options).run(path)
    return failpoints.calls


def mended(bad: BadChunk) -> bool:
    """Metadata that a kill in the very first commit left out, written by the next writer."""
    return bad.reason == "zarr.json is missing"


def run_killed(path: Path, kills: Sequence[int], options: dict[str, Any]) -> int:
    """Run with a kill at each of these calls, then to the end; how many kills struck."""
    struck = 0
    acknowledged = 0
    for kill_at in kills:
        struck += run_and_die(path, kill_at, options)
        if has_store(path):
            rows = read_commit(path).rows
            assert rows >= acknowledged
            assert [bad for bad in ActivationStore.open(path).verify() if not mended(bad)] == []
            acknowledged = rows
    run_whole(path, options)
    return struck


def equals_unkilled(tmp_path: Path, name: str, seed: int, kills: int) -> int:
    rng = random.Random(seed)
    struck = 0
    whole, killed = tmp_path / "whole.zarr", tmp_path / "killed.zarr"
    for options in SCENARIOS[name]:
        calls = len(run_whole(whole, options))
        points = [rng.randint(1, calls // kills) for _ in range(kills)]
        struck += run_killed(killed, points, options)
        assert synthetic.tree(killed) == synthetic.tree(whole)
    return struck


@pytest.mark.parametrize(
    "call", ["in the middle of a write", "before an fsync", "before a rename", "after a rename"]
)
def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path, call: str) -> None:
    rng = random.Random(call)
    options = {"layers": [0, 3], "asked": 250}
    calls = run_whole(tmp_path / "whole.zarr", options)
    points = [number for number, name in enumerate(calls, start=1) if name == call]
    kills = sorted(rng.sample(points[: len(points) // 2], 2))
    assert run_killed(tmp_path / "killed.zarr", kills, options) == 2
    assert synthetic.tree(tmp_path / "killed.zarr") == synthetic.tree(tmp_path / "whole.zarr")


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_many_killed_runs_end_with_the_same_bytes(tmp_path: Path, name: str) -> None:
    struck = 0
    for seed in range(1, 9):
        struck += equals_unkilled(tmp_path / str(seed), name, seed, kills=3)
    sys.stdout.write(f"{name}: {struck} kills\n")
    assert struck >= 16
