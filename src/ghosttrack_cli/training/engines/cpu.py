"""Steps on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.training.engines.cpu_dense import fused_update
from ghosttrack_cli.training.engines.cpu_sparse import gradients
from ghosttrack_cli.training.engines.engine import LiveFigures, Scaling
from ghosttrack_cli.training.engines.entry_lists import Scratch
from ghosttrack_cli.training.step.state import by_columns

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.training.step.objective import Figures
    from ghosttrack_cli.training.step.schedule import Schedule
    from ghosttrack_cli.training.step.settings import StepSettings
    from ghosttrack_cli.training.step.state import State


class CpuEngine:
    """Steps on the CPU, over the active entries where they are few."""

    def __init__(
        self, state: State, scaling: Scaling, schedule: Schedule, settings: StepSettings
    ) -> None:
        self.state = by_columns(state)
        self._scratch = Scratch(settings.products)
        self._scaling = scaling
        self._schedule = schedule
        self._settings = settings
        self._figures: Figures | None = None

    def step(self, raw: Tensor) -> None:
        """Take one step on raw rows, (B, D)."""
        x = self._scaling.apply(raw)
        controls = self._schedule.controls(int(self.state.step))
        result = gradients(
            self.state.weights,
            x,
            controls.sparsity_weight,
            self._settings.objective,
            self._scratch,
        )
        fused_update(self.state, result, controls, x.shape[0], self._settings)
        self._figures = result.figures

    def live(self) -> LiveFigures | None:
        """The figures of the newest step."""
        if self._figures is None:
            return None
        return LiveFigures(*(figure.item() for figure in self._figures))

    def halted(self, *, wait: bool = False) -> bool:
        """Whether a step was refused; nothing has to be waited for."""
        del wait
        return bool(self.state.halted)
