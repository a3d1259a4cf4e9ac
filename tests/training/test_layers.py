"""Several layers at once: the same SAEs as alone, one voice, and nothing lost when one ends."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from tests.training.conftest import planted_rows, write_store
from tests.training.outcomes import StopAfter

from ghosttrack_cli import files
from ghosttrack_cli.errors import Stopped, TrainingError, UsageError
from ghosttrack_cli.machine import memory
from ghosttrack_cli.machine.devices import torch_threads
from ghosttrack_cli.monitor import SILENT, Monitor, Part, Progress
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.training.rows.layer_rows import fits
from ghosttrack_cli.training.side_by_side import check_at_once, layers_at_once, train_layers
from ghosttrack_cli.training.trainer import Trainer
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.training.conftest import Bench

    from ghosttrack_cli.site import AnySite

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
) -> Callable[[AnySite, Monitor], object]:
    """Trains a layer with the bench's settings."""

    def train(layer: AnySite, monitor: Monitor) -> object:
        return Trainer(store, layer, bench.sae, bench.training, workspace, monitor).run()

    return train


def saes(workspace: Workspace) -> dict[AnySite, bytes]:
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
    manifests = [files.read_sealed(together.training_progress(layer)) for layer in LAYERS]
    assert [one["environment"]["threads"] for one in manifests] == [1, 1, 2]
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
    assert sum("resuming at step" in notice for notice in notices) == 2
    assert not any("not bit for bit" in notice for notice in notices)
    assert saes(stopped) == saes(straight)


def test_their_reports_come_as_one_sum(
    store: ActivationStore, bench: Bench, two_threads: None, tmp_path: Path
) -> None:
    told: list[Progress] = []
    begun: list[Part] = []
    train = trains(store, bench, Workspace(tmp_path))
    train_layers(LAYERS[:2], train, Monitor(told.append, begin=begun.append), at_once=2)
    assert {part.of for part in begun} == {"layers 1,4"}
    starts = [part.start for part in begun]
    assert starts == sorted(starts)
    reports = [report for report in told if report.part == "steps"]
    assert {report.total for report in reports} == {reports[-1].done}
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert list(reports[-1].figures) == ["1:", "4:"]
    assert re.fullmatch(r"L0 [\d.]+ FVU 0\.\d+", str(reports[-1].figures["4:"]))


def test_a_layer_that_has_nothing_to_do_is_not_waited_for() -> None:
    reports: list[Progress] = []

    def train(layer: AnySite, monitor: Monitor) -> None:
        if layer == 1:
            return
        deadline = time.monotonic() + 20
        while not reports and time.monotonic() < deadline:  # until the other one has ended
            monitor.progress(Progress("steps", 5, 10, "tokens"))

    train_layers(LAYERS[:2], train, Monitor(reports.append), at_once=2)
    assert (reports[0].done, reports[0].total) == (5, 10)


def test_nothing_is_told_before_all_have_begun() -> None:
    reports: list[Progress] = []
    first_told, second_told = threading.Event(), threading.Event()

    def train(layer: AnySite, monitor: Monitor) -> None:
        if layer == 1:
            monitor.progress(Progress("steps", 2, 10, "tokens"))
            first_told.set()
            second_told.wait(20)
        else:
            first_told.wait(20)
            assert not reports
            monitor.progress(Progress("steps", 5, 10, "tokens"))
            second_told.set()

    train_layers(LAYERS[:2], train, Monitor(reports.append), at_once=2)
    assert [(report.done, report.total) for report in reports] == [(7, 20)]


@pytest.mark.parametrize("error", [TrainingError("not finite"), RuntimeError("not finite")])
def test_what_is_beside_a_failing_layer_is_saved_and_stops(
    store: ActivationStore, bench: Bench, two_threads: None, tmp_path: Path, error: Exception
) -> None:
    workspace = Workspace(tmp_path / "failing")
    real, begun = trains(store, bench, workspace), threading.Event()

    def step_slowly(_: Progress) -> None:
        begun.set()
        time.sleep(0.02)

    def train(layer: AnySite, monitor: Monitor) -> None:
        if layer == 1:
            begun.wait(20)
            raise error
        real(layer, replace(monitor, progress=step_slowly))

    with pytest.raises(type(error), match="not finite"):
        train_layers(LAYERS, train, SILENT, at_once=2)
    progress = files.read_sealed(workspace.training_progress(4))
    assert (progress["state"], progress["step"] > 0) == ("stopped", True)
    assert not workspace.training_progress(7).exists()
    train_layers(LAYERS, real, SILENT, at_once=2)
    assert len(set(saes(workspace).values())) == len(LAYERS)


def test_a_layer_that_stops_early_counts_as_done() -> None:
    reports: list[tuple[int, int | None]] = []

    def train(layer: AnySite, monitor: Monitor) -> None:
        monitor.progress(Progress("a layer", 2 if layer == 1 else 10, 10, "tokens"))
        deadline = time.monotonic() + 20
        while layer == 4 and reports[-1:] != [(12, 12)] and time.monotonic() < deadline:
            monitor.progress(Progress("a layer", 10, 10, "tokens"))

    def keep(report: Progress) -> None:
        reports.append((report.done, report.total))

    train_layers(LAYERS[:2], train, Monitor(keep), at_once=2)
    assert reports[-1] == (12, 12)


@pytest.mark.parametrize(("threads", "at_once", "expected"), [(2, 2, [1, 1, 2]), (4, 2, [2, 2, 4])])
def test_each_layer_has_its_share_of_the_threads(
    one_thread: None, threads: int, at_once: int, expected: list[int]
) -> None:
    seen: dict[AnySite, int] = {}

    def train(layer: AnySite, _monitor: Monitor) -> None:
        seen[layer] = torch.get_num_threads()

    with torch_threads(threads):
        train_layers(LAYERS, train, SILENT, at_once=at_once)
    assert [seen[layer] for layer in LAYERS] == expected


@pytest.mark.parametrize(
    ("threads", "layers", "settings", "expected"),
    [
        (1, 3, {}, 1),
        (2, 3, {}, 2),
        (2, 1, {}, 1),
        (7, 2, {}, 2),
        (4, 3, {"log_to": "tensorboard,wandb"}, 1),
        (4, 3, {"layers_at_once": 1}, 1),
        (4, 2, {"layers_at_once": 3}, 2),
    ],
)
def test_how_many_go_at_once(
    store: ActivationStore,
    bench: Bench,
    one_thread: None,
    threads: int,
    layers: int,
    settings: dict[str, object],
    expected: int,
) -> None:
    training = bench.training.model_copy(update=settings)
    notices: list[str] = []
    with torch_threads(threads):
        assert layers_at_once(store, bench.sae, training, layers, notices.append) == expected
    assert not notices


def test_too_little_memory_for_two_is_said(
    store: ActivationStore, bench: Bench, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda _device: 1_000_000)
    notices: list[str] = []
    assert layers_at_once(store, bench.sae, bench.training, 3, notices.append) == 1
    assert "one layer at a time" in notices[0]
    assert "1.0 MB is free" in notices[0]


def test_several_at_once_are_refused_beside_wandb(bench: Bench) -> None:
    check_at_once(bench.training.model_copy(update={"layers_at_once": 2}))
    with pytest.raises(UsageError, match="without wandb"):
        check_at_once(bench.training.model_copy(update={"layers_at_once": 2, "log_to": "wandb"}))


def test_layers_at_once_share_the_memory(
    store: ActivationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows stay in memory if they take half of what is free."""
    one = store.rows * store.identity.row_bytes
    monkeypatch.setattr(memory, "available_bytes", lambda _device: 3 * one)
    cpu = torch.device("cpu")
    assert fits(store, cpu, 1)
    assert not fits(store, cpu, 2)
