"""What keeps few features active: one value for each way, with all that sets it apart.

B batch, F d_hidden, f_j >= 0 the activation of feature j, L0 the batch mean of #(f > 0). A penalty
P is added to the loss with a weight lambda. One more is a line in `PENALTIES`: settings, help,
recipe, step and evaluation take it from there, and docs/recipe.md says its formula. Nothing here
loads torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class OfL0(NamedTuple):
    """A penalty that is a function of L0, and knows the L0 that is asked for."""

    value: Callable[[Tensor, float], Tensor]
    """P of L0 () and the target, ()."""
    gain: Callable[[Tensor, float, Tensor | float, int], Tensor]
    """What lambda P gains when one entry more fires, (): of L0, the target, lambda and B."""


class OfActs(NamedTuple):
    """A penalty that is a mean over rows of what each activation adds."""

    value: Callable[[Tensor, float], Tensor]
    """What each activation adds, shaped like them; 0 for 0. The number is the c of tanh."""
    slope: Callable[[Tensor, float], Tensor | float]
    """The derivative of that, shaped like them or scalar."""
    metric: str | None = None
    """Its mean, if that is one of the metrics of a reconstruction."""


@dataclass(frozen=True)
class Penalty:
    """One way to keep few features active."""

    meaning: str
    """In a few words, for help."""
    weight: float
    """lambda, where nobody sets it."""
    term: OfL0 | OfActs | None = None
    """P, if anything is added to the loss."""
    fires: Literal["threshold", "batch", "row"] = "threshold"
    """What an entry has to exceed to fire: a threshold, or others of its batch or of its row."""
    trains_threshold: bool = True
    """Whether the threshold gets a gradient."""
    holds_l0: bool = False
    """Whether L0 is to be `target_l0` in the end."""
    rate: float = 0.04
    """The factor in the rule of the learning rate; lower where features that die stay dead."""
    plain: bool = False
    """Whether Adam moves all tensors alike and with its own betas, as in the original."""


PENALTIES = {
    "target": Penalty(
        "L0 held at target_l0",
        weight=1.0,
        term=OfL0(
            lambda l0, target: (l0 / target - 1).square(),
            lambda l0, target, weight, rows: 2 * weight * (l0 / target - 1) / (target * rows),
        ),
        holds_l0=True,
    ),
    "l0": Penalty(
        "price on L0",
        weight=0.001,
        term=OfL0(
            lambda l0, _: l0,
            lambda l0, _, weight, rows: l0.new_ones(()) * (weight / rows),
        ),
    ),
    "l1": Penalty(
        "price on activations",
        weight=0.01,
        term=OfActs(lambda acts, _: acts, lambda *_: 1.0, metric="l1"),
        trains_threshold=False,
        rate=0.0225,
        plain=True,
    ),
    "tanh": Penalty(
        "price on their tanh",
        weight=0.001,
        term=OfActs(
            lambda acts, c: (c * acts).tanh(),
            lambda acts, c: c * (1 - (c * acts).tanh().square()),
        ),
    ),
    "batchtopk": Penalty(
        "largest of a batch",
        weight=0.0,
        fires="batch",
        trains_threshold=False,
        holds_l0=True,
        rate=0.034,
    ),
    "topk": Penalty(
        "largest of a row",
        weight=0.0,
        fires="row",
        trains_threshold=False,
        holds_l0=True,
    ),
}
"""By the words that `--sparsity` takes.

`target`: Gemma Scope 2's quadratic loss; `l0`: Rajamanoharan et al. 2024, "Jumping Ahead"; `l1`:
the original; `tanh`: Anthropic, January 2025 update; `batchtopk`: Bussmann et al. 2024,
"BatchTopK Sparse Autoencoders"; `topk`: Gao et al. 2024, "Scaling and evaluating sparse
autoencoders".
"""
