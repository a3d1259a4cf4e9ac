"""kill -9 between any two system calls, twice and more a run; then the bytes of an unkilled run."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.fault_table import fault
from tests.store import kills, synthetic
from tests.store.kills import Kill
from tests.support.files import tree

if TYPE_CHECKING:
    from collections.abc import Callable

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


def run_and_die(path: Path, options: dict[str, Any], kill: Kill) -> bool:
    """Whether a run was killed before it ended."""
    arguments = [str(path), json.dumps(asdict(kill)), json.dumps(options)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.synthetic", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode in {0, -9}, done.stderr
    return done.returncode == -9


def run_whole(path: Path, options: dict[str, Any]) -> list[str]:
    """The system calls of a run that is left alone."""
    failpoints = kills.Failpoints(0, kills.never)
    kills.install(failpoints)
    synthetic.plan(options).run(path)
    return failpoints.calls


def killed_then_whole(path: Path, options: dict[str, Any], points: list[Kill]) -> int:
    """How many of the kills struck, before a last run went to the end."""
    struck = kills.run_killed(path, points, partial(run_and_die, path, options))
    run_whole(path, options)
    return struck


def equals_unkilled(tmp_path: Path, name: str, seed: int, count: int) -> int:
    rng = random.Random(seed)
    struck = 0
    whole, killed = tmp_path / "whole.zarr", tmp_path / "killed.zarr"
    for options in SCENARIOS[name]:
        calls = len(run_whole(whole, options))
        points = [Kill(rng.randint(1, calls // count)) for _ in range(count)]
        struck += killed_then_whole(killed, options, points)
        assert tree(killed) == tree(whole)
    return struck


@pytest.mark.parametrize("call", kills.CALLS)
def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path, call: str) -> None:
    rng = random.Random(call)
    options = {"layers": [0, 3], "asked": 250}
    calls = run_whole(tmp_path / "whole.zarr", options).count(call)
    points = [Kill(at, call) for at in rng.sample(range(1, calls // 2), 2)]
    assert killed_then_whole(tmp_path / "killed.zarr", options, points) == 2
    assert tree(tmp_path / "killed.zarr") == tree(tmp_path / "whole.zarr")


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_many_killed_runs_end_with_the_same_bytes(
    tmp_path: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    struck = 0
    for seed in range(1, 9):
        struck += equals_unkilled(tmp_path / str(seed), name, seed, count=3)
    record_property("fault", fault(f"kill -9: store, {name}", struck))
    assert struck >= 16
