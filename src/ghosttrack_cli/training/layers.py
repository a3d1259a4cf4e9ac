"""The trainings of several layers: on a CPU side by side, each on its share of the cores.

Threads of one step wait for one another after every operation, and parts of a step have one thread
only. Steps of two layers with half of the threads each wait less (docs/results.md).
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

import torch

from ghosttrack_cli import runtime
from ghosttrack_cli.errors import GhostTrackError, Stopped, UsageError
from ghosttrack_cli.monitor import Monitor, Progress
from ghosttrack_cli.quantities import format_layers
from ghosttrack_cli.training.plan import memory_needed, steps_of, training_device

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ghosttrack_cli.settings import SAESettings, SAETrainingSettings
    from ghosttrack_cli.store.reader import ActivationStore

MEMORY_SHARE = 0.8
"""Of what is free, that layers side by side may take."""
SHOWN = ("L0", "FVU")
"""Figures of each layer that a common report has room for."""
TrainLayer: TypeAlias = "Callable[[int, Monitor], object]"


def layers_at_once(store: ActivationStore, sae: SAESettings, training: SAETrainingSettings) -> int:
    """How many layers train side by side: as set, or as share the cores if they have the memory.

    Weights & Biases knows one run at a time, and a CUDA device is kept busy by one layer.

    Raises:
        UsageError: more than one was set where that cannot be.
    """
    on_cpu = training_device(training.device).type == "cpu"
    alone = not on_cpu or "wandb" in (training.log_to or "")
    asked = training.layers_at_once
    if asked is not None:
        if asked > 1 and alone:
            raise UsageError(
                f"layers_at_once: {asked} asked, but layers train side by side on a CPU only,"
                " and without wandb",
                hint="leave layers_at_once out",
            )
        return asked
    count = 1 if alone else runtime.lanes(torch.get_num_threads())
    batch_size, _ = steps_of(store.rows, training)
    needed = memory_needed(store, sae, training, batch_size)
    free = MEMORY_SHARE * runtime.available_bytes(torch.device("cpu"))
    return count if count * needed <= free else 1


def train_layers(
    layers: Sequence[int], train: TrainLayer, monitor: Monitor, *, at_once: int
) -> None:
    """Train all `layers` in their order, `at_once` of them at a time.

    The layers that train together, and so the threads of each, depend on the order alone: a command
    that is given again gives every layer as many as before. One that fails ends the command when
    those beside it are trained; a signal stops all.
    """
    for first in range(0, len(layers), at_once):
        group = layers[first : first + at_once]
        if len(group) == 1:
            train(group[0], monitor)
        else:
            _side_by_side(group, train, monitor)


def _side_by_side(layers: Sequence[int], train: TrainLayer, monitor: Monitor) -> None:
    together = _Together(layers, monitor)

    def run(layer: int) -> None:
        try:
            train(layer, together.part(layer))
        except GhostTrackError as error:
            together.failed(layer, error)
            raise
        finally:
            together.ended(layer)

    threads = max(1, torch.get_num_threads() // len(layers))
    with runtime.torch_threads(threads), ThreadPoolExecutor(len(layers), "train") as pool:
        futures = [pool.submit(run, layer) for layer in layers]
    errors = [error for error in (future.exception() for future in futures) if error]
    # What failed says more than that the others were stopped.
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error


class _Together:
    """One voice for several trainings: their reports as one, and never two at the same time."""

    def __init__(self, layers: Sequence[int], monitor: Monitor) -> None:
        self._monitor = monitor
        self._running = list(layers)
        self._reports: dict[int, Progress] = {}
        self._stage = f"train layers {format_layers(layers)}"
        self._lock = threading.Lock()

    def part(self, layer: int) -> Monitor:
        """The callbacks for one of the layers."""

        def progress(report: Progress) -> None:
            with self._lock:
                self._reports[layer] = report
                self._show()

        return Monitor(progress, self._notice, self._monitor.stop_signal)

    def failed(self, layer: int, error: GhostTrackError) -> None:
        """Say so at once where others go on."""
        others = [one for one in self._running if one != layer]
        if others:
            self._notice(f"layer {layer} failed, {format_layers(others)} goes on: {error}")

    def ended(self, layer: int) -> None:
        """Wait for no more reports of a layer."""
        with self._lock:
            self._running.remove(layer)

    def _notice(self, text: str) -> None:
        with self._lock:
            self._monitor.notice(text)

    def _show(self) -> None:
        """Report the sum, once all that run have told how far they are: rates count from then."""
        if any(layer not in self._reports for layer in self._running):
            return
        reports = sorted(self._reports.items())
        figures = {f"{layer}:": _words(report) for layer, report in reports}
        self._monitor.progress(
            Progress(
                stage=self._stage,
                done=sum(report.done for _, report in reports),
                total=sum(report.total or 0 for _, report in reports),
                unit=reports[0][1].unit,
                figures=figures,
            )
        )


def _words(report: Progress) -> str:
    """What a layer shows among others: L0 31.9 FVU 0.136."""
    shown = {name: value for name, value in report.figures.items() if name in SHOWN}
    return " ".join(f"{name} {value:.3g}" for name, value in shown.items())
