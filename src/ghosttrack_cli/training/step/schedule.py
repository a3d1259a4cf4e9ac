"""What changes with the step: learning rate and sparsity weight.

Plain numbers, a pure function of the step, so that a resumed run needs nothing but its step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from ghosttrack_cli.settings.schema import SAETrainingSettings


class Controls(NamedTuple):
    """The numbers of one step."""

    learning_rate: float
    sparsity_weight: float
    share: float  # of the peak learning rate


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then constant with a linear decay at the end, or cosine annealing."""

    total_steps: int
    peak: float
    kind: Literal["linear-decay", "cosine"]
    warmup_steps: int
    decay_steps: int
    weight: float
    weight_warmup_steps: int

    @classmethod
    def of(
        cls,
        training: SAETrainingSettings,
        total_steps: int,
        *,
        peak: float,
        weight: float,
    ) -> Schedule:
        """The schedule of some settings over `total_steps`, with what they leave to a rule."""
        return cls(
            total_steps=total_steps,
            peak=peak,
            kind=training.schedule,
            warmup_steps=round(training.warmup_fraction * total_steps),
            decay_steps=round(training.decay_fraction * total_steps),
            weight=weight,
            weight_warmup_steps=round(training.sparsity_warmup_fraction * total_steps),
        )

    def learning_rate(self, step: int) -> float:
        """The learning rate of the step after `step` finished ones."""
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        if self.kind == "cosine":
            share = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
            return self.peak * 0.5 * (1 + math.cos(math.pi * share))
        return self.peak * min(1.0, (self.total_steps - step) / max(1, self.decay_steps))

    def sparsity_weight(self, step: int) -> float:
        """The weight lambda of the step after `step` finished ones."""
        return self.weight * min(1.0, (step + 1) / max(1, self.weight_warmup_steps))

    @property
    def warm_steps(self) -> int:
        """Steps until learning rate and penalty are what was asked for."""
        return max(self.warmup_steps, self.weight_warmup_steps)

    def controls(self, step: int) -> Controls:
        """All numbers of the step after `step` finished ones."""
        rate = self.learning_rate(step)
        return Controls(rate, self.sparsity_weight(step), rate / self.peak)
