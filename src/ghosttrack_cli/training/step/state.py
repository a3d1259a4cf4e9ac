"""Everything that a training step changes, as tensors: what a checkpoint holds.

B batch, D d_model, F d_hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from ghosttrack_cli.sae.jumprelu import random_weights
from ghosttrack_cli.training.step.objective import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

SUMS = ("steps", "recon_loss", "sparsity_loss", "l0", "gradient_norm", "clipped")
DEAD_ROWS = 1_000_000


@dataclass(frozen=True)
class State:
    """The state between two steps.

    `step` counts finished steps; `halted` tells that a step was refused, and since then nothing
    changes any more; `reference` is a moving mean of the reconstruction loss; `sums` adds up SUMS
    since the last evaluation; `quiet_rows` counts the rows since each feature last fired.
    """

    weights: Weights
    first: Weights
    second: Weights
    step: Tensor  # () int64
    halted: Tensor  # () bool
    reference: Tensor  # () float32
    sums: Tensor  # (6,) float64
    quiet_rows: Tensor  # (F,) int64

    def tensors(self) -> dict[str, Tensor]:
        """All tensors under the names that checkpoints use."""
        groups = {"weights": self.weights, "first": self.first, "second": self.second}
        named = {
            f"{group}.{name}": tensor
            for group, weights in groups.items()
            for name, tensor in weights._asdict().items()
        }
        return named | {
            "step": self.step,
            "halted": self.halted,
            "reference": self.reference,
            "sums": self.sums,
            "quiet_rows": self.quiet_rows,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> State:
        """The state that `tensors` was taken of."""

        def group(name: str) -> Weights:
            return Weights(*(tensors[f"{name}.{field}"] for field in Weights._fields))

        return cls(
            weights=group("weights"),
            first=group("first"),
            second=group("second"),
            step=tensors["step"],
            halted=tensors["halted"],
            reference=tensors["reference"],
            sums=tensors["sums"],
            quiet_rows=tensors["quiet_rows"],
        )

    def map(self, change: Callable[[Tensor], Tensor]) -> State:
        """The state with `change` applied to every tensor."""
        return State.from_tensors({name: change(t) for name, t in self.tensors().items()})

    @classmethod
    def moved(cls, tensors: dict[str, Tensor], device: torch.device) -> State:
        """The state of `tensors` on a device, copied one by one; each original goes at once."""
        for name in list(tensors):
            tensors[name] = tensors.pop(name).to(device, copy=True).contiguous()
        return cls.from_tensors(tensors)


def initial_state(d_model: int, d_hidden: int, threshold: float, seed: int) -> State:
    """The state before the first step, on the CPU: drawn from `seed` alone."""
    weights = Weights(**random_weights(d_model, d_hidden, threshold, seed))
    return State(
        weights=weights,
        first=Weights(*(torch.zeros_like(w) for w in weights)),
        second=Weights(*(torch.zeros_like(w) for w in weights)),
        step=torch.zeros((), dtype=torch.int64),
        halted=torch.zeros((), dtype=torch.bool),
        reference=torch.full((), torch.inf),
        sums=torch.zeros(len(SUMS), dtype=torch.float64),
        quiet_rows=torch.zeros(d_hidden, dtype=torch.int64),
    )


def check_state(state: State) -> None:
    """Refuse tensors whose shapes or dtypes no state has.

    Raises:
        ValueError: names the tensor.
    """
    if state.weights.W_enc.dim() != 2:
        raise ValueError(f"weights.W_enc has the shape {tuple(state.weights.W_enc.shape)}")
    D, F = state.weights.W_enc.shape
    by_field = {"W_enc": (D, F), "b_enc": (F,), "W_dec": (F, D), "b_dec": (D,), "threshold": (F,)}
    counters = {
        "step": ((), torch.int64),
        "halted": ((), torch.bool),
        "reference": ((), torch.float32),
        "sums": ((len(SUMS),), torch.float64),
        "quiet_rows": ((F,), torch.int64),
    }
    for name, tensor in state.tensors().items():
        field = name.partition(".")[2]
        right = (by_field[field], torch.float32) if field else counters[name]
        if (tuple(tensor.shape), tensor.dtype) != right:
            raise ValueError(f"{name} is {tuple(tensor.shape)} {tensor.dtype}, must be {right}")


def by_columns(state: State) -> State:
    """The same state with W_enc and its moments laid out feature by feature.

    That is how sparse gradients come; the shapes stay.
    """
    groups = (state.weights, state.first, state.second)
    weights, first, second = (w._replace(W_enc=w.W_enc.T.contiguous().T) for w in groups)
    return replace(state, weights=weights, first=first, second=second)


def state_bytes(d_model: int, d_hidden: int) -> int:
    """Bytes of a state: weights and two moments in float32, and the counters."""
    weights = 2 * d_model * d_hidden + d_model + 2 * d_hidden
    return 4 * 3 * weights + 8 * d_hidden
