"""kill -9 of whole extractions, by time and at system calls; then the bytes of an unkilled run."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.extraction.forks import request
from tests.fault_table import fault
from tests.forks import Forks, spread_over
from tests.store.kills import CALLS, WRITE, Kill, run_killed
from tests.support.files import Tree, tree
from tests.support.twins import Twins

from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.extraction.conftest import Extraction

pytestmark = pytest.mark.usefixtures("small_segments")

SCENARIOS: dict[str, list[dict[str, Any]]] = {
    "two layers": [{"layers": "0,2", "tokens": 9000}],
    "finished, then grown": [
        {"layers": "0,2", "tokens": 4000},
        {"layers": "0,2", "tokens": 9000},
    ],
    "layers added": [{"layers": "1", "tokens": 7000}, {"layers": "all", "tokens": 7000}],
    "compressed": [{"layers": "0,2", "tokens": 9000, "compress": "lz4"}],
}
KILLS = 6
"""In a seed of a scenario."""
SEEDS = range(1, 5)
ENOUGH = 20
"""Of the 24 in a scenario: a kill after the last system call leaves nothing for the next one."""
assert ENOUGH * len(SCENARIOS) >= 60


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    with Forks("tests.extraction.forks") as process:
        yield process


class Extractions(Twins):
    """One extraction that is killed, and the same one left alone."""

    def __init__(self, forks: Forks, make: Callable[[Path], Extraction], root: Path) -> None:
        super().__init__(forks, Workspace(root / "whole"), Workspace(root / "killed"))
        self._make = make

    def request(self, workspace: Workspace, step: dict[str, Any]) -> dict[str, Any]:
        return request(self._make(workspace.root).settings(batch_size=20, **step))

    def left(self, workspace: Workspace) -> Tree:
        return tree(workspace.store)

    def kill(self, step: dict[str, Any], kill: Kill) -> bool:
        def run(kill: Kill) -> bool:
            return self.forks.kill(self.request(self.killed, step), kill, self.killed.root)

        return bool(run_killed(self.killed.store, [kill], run))


@pytest.fixture
def twins(
    forks: Forks, make_extraction: Callable[[Path], Extraction], tmp_path: Path
) -> Callable[[str], Twins]:
    """`twins(name)`: both without a store yet."""
    return lambda name: Extractions(forks, make_extraction, tmp_path / name)


def run_scenario(twins: Twins, name: str, seed: int, count: int) -> int:
    """How many kills struck, of `count` in each step."""
    rng = random.Random(f"{name} {seed}")
    return spread_over(SCENARIOS[name], twins.step, rng, count, CALLS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_killed_extraction_ends_with_the_same_bytes(
    twins: Callable[[str], Twins], name: str
) -> None:
    assert run_scenario(twins(name), name, seed=0, count=2) >= 2 * len(SCENARIOS[name]) - 1


@pytest.mark.parametrize("writes_left", [0, 3, 5])
def test_a_kill_in_the_last_writes_leaves_nothing_behind(
    twins: Callable[[str], Twins], writes_left: int
) -> None:
    """Those of the six `zarr.json`, after the commit that says that everything is there."""
    pair = twins("last writes")
    pair.step({"layers": "1", "tokens": 2000}, lambda _: [])
    struck = pair.step(
        {"layers": "all", "tokens": 2000},
        lambda whole: [Kill(whole.calls[WRITE] - writes_left, WRITE)],
    )
    assert struck == 1


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_many_killed_extractions_end_with_the_same_bytes(
    twins: Callable[[str], Twins], name: str, record_property: Callable[[str, object], None]
) -> None:
    count = KILLS // len(SCENARIOS[name])
    struck = sum(run_scenario(twins(str(seed)), name, seed, count) for seed in SEEDS)
    record_property("fault", fault(f"kill -9: extraction, {name}", struck))
    assert struck >= ENOUGH
