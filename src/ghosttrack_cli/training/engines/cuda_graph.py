"""Steps on a CUDA device: the whole step is one graph, and the host never waits for it.

B batch, D d_model, F d_hidden.

Small steps are bound by kernel launches: 2.2 ms a step without a graph, 0.15 to 0.40 ms with one
(docs/recipe.md). Learning rate and sparsity weight lie in a table on the device, a row a step,
which the host fills a thousand steps ahead; figures come back through a pinned buffer that is only
read once it has arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ghosttrack_cli.training.engines.engine import LiveFigures, Scaling
from ghosttrack_cli.training.step.objective import dense_gradients
from ghosttrack_cli.training.step.schedule import Controls
from ghosttrack_cli.training.step.update import update

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ghosttrack_cli.training.step.schedule import Schedule
    from ghosttrack_cli.training.step.settings import StepSettings
    from ghosttrack_cli.training.step.state import State

TABLE_STEPS = 1024
TAP_STEPS = 32
WARMUP_STEPS = 3


def table_step(
    state: State,
    raw: Tensor,
    scaling: Scaling,
    table: Tensor,
    figures: Tensor,
    settings: StepSettings,
) -> None:
    """One step whose controls are a row of `table` (TABLE_STEPS, 3), chosen by the state's step.

    `figures` (4,) receives reconstruction loss, sparsity loss, L0 and whether a step was refused.
    Nothing here looks at a value, so it can be compiled and captured.
    """
    place = (state.step % TABLE_STEPS).reshape(1)
    controls = table.index_select(0, place).reshape(-1)
    x = raw.float() * scaling.scale - scaling.mean  # (B, D)
    gradients = dense_gradients(
        state.weights, x, controls[1], settings.objective, settings.products
    )
    update(state, gradients, controls, raw.shape[0], settings)
    figures.copy_(torch.stack([*gradients.figures, state.halted.float()]))


class Table:
    """The controls of a block of steps on the device."""

    def __init__(self, schedule: Schedule, device: torch.device) -> None:
        self.rows = torch.zeros(TABLE_STEPS, len(Controls._fields), device=device)
        self._schedule = schedule
        self._start: int | None = None

    def cover(self, step: int) -> None:
        """Make sure that the row of the step after `step` finished ones is there."""
        start = step - step % TABLE_STEPS
        if start == self._start:
            return
        end = min(start + TABLE_STEPS, self._schedule.total_steps)
        rows = torch.tensor([self._schedule.controls(i) for i in range(start, end)])
        if self.rows.is_cuda:
            rows = rows.pin_memory()
        self.rows[: len(rows)].copy_(rows, non_blocking=True)
        self._start = start


class Tap:
    """Figures of a recent step, copied off the device without waiting."""

    def __init__(self, figures: Tensor) -> None:
        self._figures = figures
        self._arrived = torch.zeros(4).pin_memory()
        self._event: torch.cuda.Event | None = None
        self.latest: tuple[float, ...] | None = None

    def ask(self) -> None:
        """Send the figures on their way, unless some are already."""
        if self._event is None:
            self._arrived.copy_(self._figures, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def look(self) -> None:
        """Take what has arrived."""
        if self._event is not None and self._event.query():  # type: ignore[no-untyped-call]
            self.latest = tuple(self._arrived.tolist())
            self._event = None


class GraphEngine:
    """Steps on a CUDA device; the first one compiles and captures."""

    def __init__(
        self,
        state: State,
        scaling: Scaling,
        schedule: Schedule,
        settings: StepSettings,
        *,
        compiled: bool,
        notice: Callable[[str], None],
    ) -> None:
        device = state.step.device
        self.state = state
        self._scaling = scaling
        self._settings = settings
        self._table = Table(schedule, device)
        self._figures = torch.zeros(4, device=device)
        self._tap = Tap(self._figures)
        self._step = int(state.step)
        self._compiled = compiled
        self._notice = notice
        self._raw: Tensor | None = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def step(self, raw: Tensor) -> None:
        """Take one step on raw rows, (B, D)."""
        self._table.cover(self._step)
        if self._raw is None or self._graph is None:
            self._raw = raw.to(self.state.step.device, copy=True)
            self._graph = self._capture(self._raw)
        else:
            assert raw.shape == self._raw.shape, (raw.shape, self._raw.shape)
            self._raw.copy_(raw, non_blocking=True)
        self._graph.replay()
        self._step += 1
        if self._step % TAP_STEPS == 0:
            self._tap.ask()

    def live(self) -> LiveFigures | None:
        """Figures of a step not long ago, without waiting for the device."""
        self._tap.look()
        return None if self._tap.latest is None else LiveFigures(*self._tap.latest[:3])

    def halted(self, *, wait: bool = False) -> bool:
        """Whether a step was refused; `wait` for the newest one, or say what is known."""
        if wait:
            return bool(self.state.halted)
        return self._tap.latest is not None and self._tap.latest[3] > 0

    def _capture(self, raw: Tensor) -> torch.cuda.CUDAGraph:
        """Run the step a few times on the side, put the state back, and record it."""
        before = self.state.map(torch.Tensor.clone)
        step = self._chosen_step(raw)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARMUP_STEPS):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            step()
        for name, tensor in self.state.tensors().items():
            tensor.copy_(before.tensors()[name])
        return graph

    def _chosen_step(self, raw: Tensor) -> Callable[[], None]:
        """The step, compiled where that was asked and works."""
        arguments = (
            self.state, raw, self._scaling, self._table.rows, self._figures, self._settings
        )  # fmt: skip
        if self._compiled:
            compiled = torch.compile(table_step, fullgraph=True, dynamic=False)
            try:
                compiled(*arguments)
            except Exception as error:  # noqa: BLE001 - whatever a compiler lacks, eager has
                reason = str(error).strip().splitlines()[0]
                self._notice(f"steps are not compiled, which is slower: {reason}")
            else:
                return lambda: compiled(*arguments)
        return lambda: table_step(*arguments)
