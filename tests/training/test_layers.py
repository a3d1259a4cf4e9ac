"""Several layers at once: the same SAEs as alone, one voice, and nothing lost when one ends."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

import pytest
import torch
from tests.training.conftest import planted_rows, write_store
from tests.training.outcomes import StopAfter

from ghosttrack_cli import runtime
from ghosttrack_cli.errors import Stopped, TrainingError, UsageError
from ghosttrack_cli.monitor import SILENT, Monitor, Progress
from ghosttrack_cli.runtime import torch_threads
from ghosttrack_cli.store.reader import ActivationStore
from ghosttrack_cli.training.layers import layers_at_once, train_layers
from ghosttrack_cli.training.trainer import Trainer
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.training.conftest import Bench

LAYERS = (1, 4, 7)


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    x, _ = planted_rows(6_000)
    write_store(tmp_path / "several.zarr", x, layers=LAYERS)
    return ActivationStore.open(tmp_path / "several.zarr")


@pytest.fixture
def two_threads(one_thread: None) -> Iterator[None]:
    with torch_threads(2):
        yield


def trains(
    store: ActivationStore, bench: Bench, workspace: Workspace
) -> Callable[[int, Monitor], object]:
    """Trains a layer with the bench's settings."""

    def train(layer: int, monitor: Monitor) -> object:
        return Trainer(store, layer, bench.sae, bench.training, workspace, monitor).run()

    return train


def saes(workspace: Workspace) -> dict[int, bytes]:
    return {
        layer: (workspace.sae(layer, "final") / "sae_weights.safetensors").read_bytes()
        for layer in LAYERS
    }


def test_layers_at_once_are_those_of_as_many_threads_alone(
    store: ActivationStore, bench: Bench, two_threads: None, tmp_path: Path
) -> None:
    together, alone = Workspace(tmp_path / "together"), Workspace(tmp_path / "alone")
    train_layers(LAYERS, trains(store, bench, together), SILENT, at_once=2)
    for layer, threads in zip(LAYERS, (1, 1, 2), strict=True):
        with torch_threads(threads):
            trains(store, bench, alone)(layer, SILENT)
    assert saes(together) == saes(alone)
    assert len(set(saes(alone).values())) == len(LAYERS)
    assert torch.get_num_threads() == 2


def test_layers_that_are_stopped_go_on_to_the_same_end(
    store: ActivationStore, bench: Bench, two_threads: None, tmp_path: Path
) -> None:
    stopped, straight = Workspace(tmp_path / "stopped"), Workspace(tmp_path / "straight")
    train_layers(LAYERS, trains(store, bench, straight), SILENT, at_once=2)
    monitor = Monitor(stop_signal=StopAfter(20))
    with pytest.raises(Stopped) as caught:
        train_layers(LAYERS, trains(store, bench, stopped), monitor, at_once=2)
    assert caught.value.exit_code == 130
    notices: list[str] = []
    train_layers(LAYERS, trains(store, bench, stopped), Monitor(notice=notices.append), at_once=2)
    assert sum("continued at step" in notice for notice in notices) == 2
    assert not any("not bitwise" in notice for notice in notices)
    assert saes(stopped) == saes(straight)


def test_their_reports_come_as_one_sum(
    store: ActivationStore, bench: Bench, two_threads: None, tmp_path: Path
) -> None:
    reports: list[Progress] = []
    train = trains(store, bench, Workspace(tmp_path))
    train_layers(LAYERS[:2], train, Monitor(reports.append), at_once=2)
    assert {report.stage for report in reports} == {"train layers 1,4"}
    assert {report.total for report in reports} == {reports[-1].done}
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert list(reports[-1].figures) == ["1:", "4:"]
    assert re.fullmatch(r"L0 \d\.\d+ FVU 0\.\d+", str(reports[-1].figures["4:"]))


def test_a_layer_that_has_nothing_to_do_is_not_waited_for() -> None:
    reports: list[Progress] = []

    def train(layer: int, monitor: Monitor) -> None:
        if layer == 1:
            return
        deadline = time.monotonic() + 20
        while not reports and time.monotonic() < deadline:  # until the other one has ended
            monitor.progress(Progress("layer 4", 5, 10, "tokens"))

    train_layers(LAYERS[:2], train, Monitor(reports.append), at_once=2)
    assert (reports[0].done, reports[0].total) == (5, 10)


def test_nothing_is_told_before_all_have_begun() -> None:
    reports: list[Progress] = []
    first_told, second_told = threading.Event(), threading.Event()

    def train(layer: int, monitor: Monitor) -> None:
        if layer == 1:
            monitor.progress(Progress("layer 1", 2, 10, "tokens"))
            first_told.set()
            second_told.wait(20)
        else:
            first_told.wait(20)
            assert not reports
            monitor.progress(Progress("layer 4", 5, 10, "tokens"))
            second_told.set()

    train_layers(LAYERS[:2], train, Monitor(reports.append), at_once=2)
    assert [(report.done, report.total) for report in reports] == [(7, 20)]


def test_what_is_beside_a_failing_layer_is_trained(two_threads: None) -> None:
    trained: list[int] = []
    notices: list[str] = []
    told = threading.Event()

    def train(layer: int, _monitor: Monitor) -> None:
        if layer == 1:
            raise TrainingError("layer 1: the loss is not finite")
        told.wait(20)
        trained.append(layer)

    def notice(text: str) -> None:
        notices.append(text)
        told.set()

    with pytest.raises(TrainingError, match="not finite"):
        train_layers(LAYERS, train, Monitor(notice=notice), at_once=2)
    assert trained == [4]
    assert notices == ["layer 1 failed, 4 goes on: layer 1: the loss is not finite"]


@pytest.mark.parametrize(("threads", "at_once", "expected"), [(2, 2, [1, 1, 2]), (4, 2, [2, 2, 4])])
def test_each_layer_has_its_share_of_the_threads(
    one_thread: None, threads: int, at_once: int, expected: list[int]
) -> None:
    seen: dict[int, int] = {}

    def train(layer: int, _monitor: Monitor) -> None:
        seen[layer] = torch.get_num_threads()

    with torch_threads(threads):
        train_layers(LAYERS, train, SILENT, at_once=at_once)
    assert [seen[layer] for layer in LAYERS] == expected


def test_how_many_go_at_once(
    store: ActivationStore, bench: Bench, one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert layers_at_once(store, bench.sae, bench.training) == 1
    with torch_threads(4):
        assert layers_at_once(store, bench.sae, bench.training) == 2
        one = bench.training.model_copy(update={"layers_at_once": 1})
        assert layers_at_once(store, bench.sae, one) == 1
        logged = bench.training.model_copy(update={"log_to": "tensorboard,wandb"})
        assert layers_at_once(store, bench.sae, logged) == 1
        with pytest.raises(UsageError, match="without wandb"):
            layers_at_once(store, bench.sae, logged.model_copy(update={"layers_at_once": 2}))
        monkeypatch.setattr(runtime, "available_bytes", lambda _device: 1_000_000)
        assert layers_at_once(store, bench.sae, bench.training) == 1
