"""The trainings of several layers: on a CPU side by side, each on its share of the cores.

Threads of one step wait for one another after every operation, and parts of a step have one thread
only. Steps of two layers with half of the threads each wait less (docs/results.md).
"""

from __future__ import annotations

import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import torch

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.machine import devices, memory
from ghosttrack_cli.monitor import Monitor, Part, Progress, by_layers
from ghosttrack_cli.quantities import format_bytes, format_figure
from ghosttrack_cli.training.plan.plan import memory_needed, training_device
from ghosttrack_cli.training.plan.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.read.reader import ActivationStore

AT_ONCE = 2
MEMORY_SHARE = 0.8
"""Of what is free, that layers side by side may take."""
SHOWN = ("L0", "FVU")
"""Figures of each layer that a common report has room for."""
TrainLayer: TypeAlias = "Callable[[AnySite, Monitor], object]"


def check_at_once(training: SAETrainingSettings) -> None:
    """Refuse several layers at once where that cannot be.

    Raises:
        UsageError: more than one was set, for a CUDA device or beside wandb.
    """
    if (training.layers_at_once or 1) > 1 and _goes_alone(training):
        raise UsageError(
            f"layers_at_once: {training.layers_at_once} requested, but layers train in"
            " parallel only on a CPU and without wandb",
            hint="leave layers_at_once out",
        )


def _goes_alone(training: SAETrainingSettings) -> bool:
    """A CUDA device is kept busy by one layer, and wandb knows one run at a time."""
    on_cpu = training_device(training.device).type == "cpu"
    return not on_cpu or "wandb" in (training.log_to or "")


def layers_at_once(
    store: ActivationStore,
    sae: SAESettings,
    training: SAETrainingSettings,
    layers: int,
    notice: Callable[[str], None],
) -> int:
    """How many of `layers` train side by side: as set, or two if there are cores and memory.

    Too little memory is said, for with other threads than before a layer's bits are others.

    Raises:
        UsageError: as `check_at_once`.
    """
    check_at_once(training)
    if training.layers_at_once is not None:
        return min(layers, training.layers_at_once)
    if layers < AT_ONCE or torch.get_num_threads() < AT_ONCE or _goes_alone(training):
        return 1
    recipe = Recipe.of(sae, training, store.d_model, max(1, store.rows))
    needed = AT_ONCE * memory_needed(store, recipe, training, AT_ONCE)
    free = memory.available_bytes(torch.device("cpu"))
    if needed <= MEMORY_SHARE * free:
        return AT_ONCE
    notice(
        f"training one layer at a time: {AT_ONCE} in parallel need {format_bytes(needed)} of "
        f"memory, {format_bytes(free)} is free (layers_at_once = {AT_ONCE} tries anyway)"
    )
    return 1


def train_layers(
    layers: Sequence[AnySite], train: TrainLayer, monitor: Monitor, *, at_once: int
) -> None:
    """Train all `layers` in their order, `at_once` of them at a time.

    The layers that train together, and so the threads of each, depend on the order alone, so that
    a command that is given again changes no bits; beside a finished layer some cores idle. When one
    fails, those beside it commit and stop, and its error ends all, as a signal does.
    """
    groups = [layers[first : first + at_once] for first in range(0, len(layers), at_once)]
    for group, part in zip(groups, by_layers(groups), strict=True):
        if len(group) == 1:
            train(group[0], monitor.within(part))
        else:
            _side_by_side(group, train, monitor.within(part))


def _side_by_side(layers: Sequence[AnySite], train: TrainLayer, monitor: Monitor) -> None:
    together = _Together(layers, monitor)

    def run(layer: AnySite) -> None:
        try:
            train(layer, together.part(layer))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets it
            together.failed(error)
        finally:
            together.ended(layer)

    threads = max(1, torch.get_num_threads() // len(layers))
    with devices.torch_pool(len(layers), threads, "train") as pool:
        futures = [pool.submit(run, layer) for layer in layers]
    if together.failure is not None:
        raise together.failure
    for future in futures:
        future.result()  # raises Stopped


class _Together:
    """One voice for several trainings: their reports as one, and never two at the same time."""

    def __init__(self, layers: Sequence[AnySite], monitor: Monitor) -> None:
        self._monitor = monitor
        self._running = set(layers)
        self._parts: dict[AnySite, Part] = {}
        self._shown: Part | None = None
        self._reports: dict[tuple[str, AnySite], Progress] = {}
        self._lock = threading.Lock()
        self.failure: Exception | None = None
        """The first error, for which all others stop."""

    def part(self, layer: AnySite) -> Monitor:
        """The callbacks for one of the layers."""

        def begin(part: Part) -> None:
            with self._lock:
                self._end_part(layer)
                self._parts[layer] = part
                self._show()

        def progress(report: Progress) -> None:
            with self._lock:
                self._parts.setdefault(layer, Part(report.part))
                self._reports[report.part, layer] = report
                self._show()

        return Monitor(progress, self._notice, self._stop_signal, begin, self._accepted)

    def failed(self, error: Exception) -> None:
        """Let the others stop."""
        with self._lock:
            self.failure = self.failure or error

    def ended(self, layer: AnySite) -> None:
        """Wait for no more reports of a layer; where it stopped early, that was all of it."""
        with self._lock:
            self._running.discard(layer)
            self._end_part(layer)

    def _end_part(self, layer: AnySite) -> None:
        """What a layer did in its part is all of it, for it goes on with another one."""
        for (name, one), report in self._reports.items():
            if one == layer:
                self._reports[name, one] = replace(report, total=report.done)

    def _stop_signal(self) -> int | None:
        with self._lock:
            return signal.SIGTERM if self.failure else self._monitor.stop_signal()

    def _accepted(self) -> None:
        with self._lock:
            self._monitor.accepted()

    def _notice(self, text: str) -> None:
        with self._lock:
            self._monitor.notice(text)

    def _show(self) -> None:
        """Report the part of the layer that is behind the others, as the sum of all."""
        if not self._running <= set(self._parts):
            return
        last = min(
            (self._parts[layer] for layer in self._running),
            key=lambda part: part.start,
            default=None,
        )
        if last is None:
            return
        if last != self._shown:
            self._shown = last
            self._monitor.begin(last)
        self._sum(last)

    def _awaited(self, layer: AnySite, part: Part) -> bool:
        """Whether a layer may still come to a part; it may have had nothing to do there."""
        return self._parts[layer].start <= part.start

    def _sum(self, part: Part) -> None:
        """Report the sum, once all that run have told how far they are: rates count from then."""
        reports = {layer: one for (name, layer), one in self._reports.items() if name == part.name}
        if not reports or any(self._awaited(layer, part) for layer in self._running - set(reports)):
            return
        self._monitor.progress(
            Progress(
                part=part.name,
                done=sum(report.done for report in reports.values()),
                total=sum(report.total or 0 for report in reports.values()),
                unit=next(iter(reports.values())).unit,
                figures={f"{layer}:": _words(one) for layer, one in sorted(reports.items())},
            )
        )


def _words(report: Progress) -> str:
    """What a layer shows among others: L0 31.9 FVU 0.136."""
    shown = {name: value for name, value in report.figures.items() if name in SHOWN}
    return " ".join(f"{name} {format_figure(value)}" for name, value in shown.items())
