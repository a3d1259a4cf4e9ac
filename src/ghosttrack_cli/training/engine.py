"""What runs the steps: the state on a device and the way a step is taken there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from ghosttrack_cli.training.entries import Scratch
from ghosttrack_cli.training.fused import fused_update
from ghosttrack_cli.training.sparse import gradients
from ghosttrack_cli.training.state import by_columns

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.training.objective import Figures
    from ghosttrack_cli.training.schedule import Schedule
    from ghosttrack_cli.training.state import State
    from ghosttrack_cli.training.step import StepSettings


class Scaling(NamedTuple):
    """From raw rows to training units: x * scale - mean."""

    scale: float
    mean: Tensor  # (D,)

    def apply(self, raw: Tensor) -> Tensor:
        """Rows (B, D) in training units, float32, on the device of the mean."""
        x = raw.to(device=self.mean.device).to(torch.float32, copy=True)
        return x.mul_(self.scale).sub_(self.mean)

    def to(self, device: torch.device) -> Scaling:
        """The same scaling for rows on another device."""
        return Scaling(self.scale, self.mean.to(device))


class LiveFigures(NamedTuple):
    """Figures of a recent step, as plain numbers."""

    recon_loss: float
    sparsity_loss: float
    l0: float


class Engine(Protocol):
    """Takes steps and owns the state while it does."""

    @property
    def state(self) -> State:
        """The state after the newest step."""
        ...

    def step(self, raw: Tensor) -> None:
        """Take one step on raw rows, (B, D)."""
        ...

    def live(self) -> LiveFigures | None:
        """Figures of a step not long ago, without waiting for the device."""
        ...

    def halted(self, *, wait: bool = False) -> bool:
        """Whether a step was refused; `wait` for the newest one, or say what is known."""
        ...


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
