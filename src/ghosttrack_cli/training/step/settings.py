"""What a step is told: rates, betas, what it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from ghosttrack_cli.training.step.objective import Objective

DECAYED = ("W_enc", "W_dec")


class Betas(NamedTuple):
    """How much of Adam's two moments a step keeps."""

    first: float
    second: float


ADAM = Betas(0.9, 0.999)
"""Adam's own defaults."""


class Rates(NamedTuple):
    """Factors on the learning rate, one for each of the `Weights`."""

    W_enc: float = 1.0
    b_enc: float = 1.0
    W_dec: float = 1.0
    b_dec: float = 1.0
    threshold: float = 1.0


class Moves(NamedTuple):
    """How gradients move the weights; by default as Adam does with one learning rate."""

    rates: Rates = Rates()
    betas: Betas = ADAM
    following: float = 0.0
    """Share of its decoder row's movement that an encoder column makes too."""


PLAIN = Moves()


@dataclass(frozen=True)
class StepSettings:
    """The constants of a step."""

    objective: Objective
    gradient_clip: float
    revive_rows: int
    """Rows without a firing after which the threshold of a feature falls."""
    moves: Moves = PLAIN
    weight_decay: float = 0.0
    products: torch.dtype = torch.float32

    def decay_of(self, name: str) -> float:
        """The weight decay of one of the `Weights`."""
        return self.weight_decay if name in DECAYED else 0.0
