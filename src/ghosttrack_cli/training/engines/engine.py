"""What runs the steps: the state on a device and the way a step is taken there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.training.step.state import State


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
