"""Whatever stops a training: run again, it ends with the bits that an unstopped one leaves."""

from __future__ import annotations

import errno
import itertools
import json
import pickle  # noqa: TID251 - to show that none is ever opened
import random
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.fault_table import fault
from tests.forks import Forks, spread
from tests.store import kills
from tests.store.kills import FSYNC, REMOVE, RENAME, RENAMED, WRITE, Failing, Failpoints, Kill
from tests.support.twins import Twins
from tests.training.conftest import Bench
from tests.training.forks import request
from tests.training.outcomes import (
    LAYER,
    STEPS,
    StopAfter,
    assert_sound,
    elsewhere,
    ending,
    tree,
)

from ghosttrack_cli import files
from ghosttrack_cli.errors import DiskError, Stopped
from ghosttrack_cli.settings.schema import SAETrainingSettings
from ghosttrack_cli.training.records.retraining import forget
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Clock
    from tests.support.files import Tree

    from ghosttrack_cli.training.trainer import Trainer

CALLS = (WRITE, FSYNC, RENAME, RENAMED, REMOVE)
OFTEN = {"evaluations": 6, "checkpoint_steps": 5}
"""Several evaluations, checkpoints and prunings in 42 steps."""
SCENARIOS: dict[str, dict[str, Any]] = {
    "target": {"sae": {}, **OFTEN},
    "l1, patience": {"sae": {"sparsity": "l1"}, "patience": 2, **OFTEN},
    "topk": {"sae": {"sparsity": "topk"}, "revive_rows": 300, **OFTEN},
    "a checkpoint a step": {"sae": {}, "evaluations": 42, "checkpoint_steps": 1},
    "overwritten": {"sae": {}, "overwrite": True, **OFTEN},
}
TRAINING: dict[str, Any] = {}
"""The one step of a training: its settings are those of the scenario."""
TINY: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 256,
    "target_sparsity_min": 2.0,
    "target_sparsity_max": 8.0,
    "evaluations": 2,
    "checkpoint_steps": 2,
    "device": "cpu",
}
SHORT: dict[str, Any] = {"evaluations": 2, "checkpoint_steps": 15}
"""Each kind of call at least twice."""
KILLS, SEEDS = 6, range(1, 5)
ENOUGH = 20
"""Of the 24 in a scenario: a kill after the last system call leaves nothing for the next one."""


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    with Forks("tests.training.forks") as process:
        yield process


class Trainings(Twins):
    """One training that is stopped in any way, and the same one left alone."""

    def __init__(self, bench: Bench, forks: Forks, name: str, settings: dict[str, Any]) -> None:
        root, folder = bench.workspace.root, bench.workspace.root / name
        super().__init__(forks, *(Workspace(root, folder / part) for part in ("whole", "killed")))
        self.bench, self.settings = bench, settings

    def trainer(self, workspace: Workspace) -> Trainer:
        return self.bench.trainer(workspace=workspace, **self.settings)

    def request(self, workspace: Workspace, step: dict[str, Any]) -> dict[str, Any]:
        assert step == TRAINING, "a training has one step"
        return request(self.trainer(workspace))

    def left(self, workspace: Workspace) -> Tree:
        return tree(workspace)

    def kill(self, step: dict[str, Any], kill: Kill) -> bool:
        request = self.request(self.killed, step)
        return self.forks.kill(request, kill, self.killed.checkpoints)


@pytest.fixture
def twins(bench: Bench, forks: Forks) -> Callable[[str, str], Trainings]:
    """`twins(folder, scenario)`: both not begun."""
    return lambda folder, scenario: Trainings(bench, forks, folder, SCENARIOS.get(scenario, SHORT))


def run_scenario(twins: Trainings, name: str, seed: int, count: int) -> int:
    rng = random.Random(f"{name} {seed}")
    return twins.step(TRAINING, partial(spread, rng, count, names=CALLS))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_killed_training_ends_with_the_same_bytes(
    twins: Callable[[str, str], Trainings], name: str
) -> None:
    assert run_scenario(twins("quick", name), name, seed=0, count=3) >= 2


def kill_at_each(twins: Trainings, first: int, every: int) -> int:
    """How many kills struck: at call number `first` of a new training and so on, then once more.

    The second kill of each training strikes anywhere in what is left.
    """
    calls = sum(twins.run(twins.whole, TRAINING).calls.values())
    rng, struck = random.Random(first), 0
    for at in range(first % calls, calls + 1, every):
        forget(twins.killed, LAYER)
        points = (at, rng.randint(1, calls + 1 - at))
        struck += sum(twins.kill(TRAINING, Kill(point)) for point in points)
        assert_sound(twins.killed)
        twins.run(twins.killed, TRAINING)
        assert tree(twins.killed) == tree(twins.whole), points
    return struck


def test_kills_in_the_last_calls_leave_nothing_behind(
    twins: Callable[[str, str], Trainings],
) -> None:
    """Those of the finish, which has 64: final and best SAE, history, manifest."""
    assert kill_at_each(twins("last calls", "target"), first=-64, every=6) >= 11


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_many_killed_trainings_end_with_the_same_bytes(
    twins: Callable[[str, str], Trainings],
    name: str,
    record_property: Callable[[str, object], None],
) -> None:
    struck = sum(run_scenario(twins(f"{seed}", name), name, seed, KILLS) for seed in SEEDS)
    record_property("fault", fault(f"kill -9: training, {name}", struck))
    assert struck >= ENOUGH


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_kill_at_any_call_ends_with_the_same_bytes(
    twins: Callable[[str, str], Trainings], record_property: Callable[[str, object], None]
) -> None:
    struck = kill_at_each(twins("each", "target"), first=1, every=15)
    record_property("fault", fault("kill -9: training, every 15th call", struck))
    assert struck >= 60


def fail_at_each(twins: Trainings, number: int, *, for_good: bool, first: int, every: int) -> int:
    """At how many calls a training failed before one went through."""
    twins.trainer(twins.whole).run()
    at, failed = first, True
    while failed:
        forget(twins.killed, LAYER)
        failing = Failing(at, number, for_good=for_good)
        kills.install(failing)
        failed = run_failing(twins, failing)
        kills.install(Failpoints(0, kills.never))
        assert_sound(twins.killed)
        twins.trainer(twins.killed).run()
        assert tree(twins.killed) == tree(twins.whole), at
        at += every
    return (at - first) // every - 1


def run_failing(twins: Trainings, failing: Failing) -> bool:
    """Whether a call failed; the error then says where, and what to do about a full disk."""
    error = disk_error_of(twins.trainer(twins.killed))
    assert failing.failed == (error is not None)
    if error is None:
        return False
    assert str(error.path).startswith(str(twins.killed.checkpoints))
    assert str(error.path) in error.what
    assert (error.hint is not None) == (failing.number == errno.ENOSPC)
    assert error.exit_code == 1
    return True


def disk_error_of(trainer: Trainer) -> DiskError | None:
    try:
        trainer.run()
    except DiskError as error:
        return error
    return None


@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize(
    ("number", "for_good", "first"),
    [
        (errno.EIO, False, 1),
        (errno.ENOSPC, False, 12),
        (errno.EIO, True, 24),
        (errno.ENOSPC, True, 36),
    ],
)
def test_a_call_that_fails_loses_nothing(
    twins: Callable[[str, str], Trainings], number: int, for_good: bool, first: int
) -> None:
    pair = twins("failing", "target")
    assert fail_at_each(pair, number, for_good=for_good, first=first, every=96) >= 4


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("no_fsync")
@pytest.mark.parametrize(
    ("number", "for_good", "every"),
    [
        (errno.EIO, False, 1),
        (errno.ENOSPC, True, 1),
        (errno.EMFILE, False, 3),
        (errno.EACCES, True, 3),
    ],
)
def test_every_call_that_fails_loses_nothing(
    workspace: Workspace,
    forks: Forks,
    number: int,
    for_good: bool,
    every: int,
    record_property: Callable[[str, object], None],
) -> None:
    """In a training of few rows, whose calls are those of any: of three steps and two saves."""
    bench = Bench(workspace, training=SAETrainingSettings(**TINY))
    bench.plant(900)
    pair = Trainings(bench, forks, "failing", {})
    count = fail_at_each(pair, number, for_good=for_good, first=1, every=every)
    assert count >= 100 // every
    name = f"{errno.errorcode[number]} {'for good' if for_good else 'once'}: train"
    record_property("fault", fault(name, count))


def test_a_pickle_in_place_of_a_checkpoint_is_never_opened(bench: Bench, tmp_path: Path) -> None:
    straight = elsewhere(bench, "straight")
    bench.trainer(workspace=straight).run()
    with pytest.raises(Stopped):
        bench.trainer(stop=StopAfter(20), checkpoint_steps=15).run()
    canary = tmp_path / "canary"
    newest = bench.workspace.sae(LAYER, "last") / "step-000000020.safetensors"
    newest.write_bytes(pickle.dumps(Canary(canary)))
    bench.trainer().run()
    assert any("a pickle, not a safetensors file" in notice for notice in bench.notices)
    assert not canary.exists()
    assert ending(straight) == ending(bench.workspace)


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_only_a_clock_that_never_jumps_decides(
    bench: Bench, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall clock jumps by years, the other one stands still, then passes a minute a step."""
    jumps = itertools.cycle([0.0, 4e9, 1e6])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    still, moving = elsewhere(bench, "still"), elsewhere(bench, "moving")
    bench.trainer(workspace=still, checkpoint_minutes=10).run()
    steps = [path.stem for path in still.sae(LAYER, "last").glob("*.json")]
    assert steps == [f"step-{STEPS:09d}"]

    def pass_a_minute() -> None:
        clock.now += 60

    bench.trainer(workspace=moving, checkpoint_minutes=10, stop=pass_a_minute).run()
    steps = sorted(path.stem for path in moving.sae(LAYER, "last").glob("*.json"))
    assert steps == ["step-000000036", f"step-{STEPS:09d}"]  # every twelfth: more than ten minutes
    progress = [json.loads(one.training_progress(LAYER).read_bytes()) for one in (still, moving)]
    assert [one["seconds"] for one in progress] == [0, 60 * (STEPS - 1)]
    assert ending(still) == ending(moving)


@pytest.mark.parametrize("which", ["history", "training_progress"])
def test_a_damaged_manifest_is_made_again(bench: Bench, which: str) -> None:
    bench.trainer().run()
    path = getattr(bench.workspace, which)(LAYER)
    before = path.read_bytes()
    digit = before.index(b"0.") + 2
    path.write_bytes(
        before[:digit] + (b"1" if before[digit] == ord("9") else b"9") + before[digit + 1 :]
    )
    bench.notices.clear()

    result = bench.trainer().run()

    assert any(str(path) in notice and "rebuilt" in notice for notice in bench.notices)
    assert result.outcome == "trained"
    assert files.read_sealed(path)
    assert bench.trainer().run().outcome == "already finished"
