"""An SAE on held-out rows: sums in float64, the same figures whatever the batch size.

B batch, D d_model, F d_hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ghosttrack_cli.metrics import FiringCounts, ReconstructionMetrics, ReconstructionSums
from ghosttrack_cli.penalties import OfActs
from ghosttrack_cli.training.step.objective import penalty

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor

    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.training.step.objective import Objective

CACHED_ENTRIES, DEVICE_ENTRIES = 2**21, 2**25
"""(rows, features) that are computed at a time on a CPU, so that they stay in its cache and in
memory that is used again, and elsewhere."""
LEAST_ROWS = 256
"""On a CPU, so that wide SAEs do not read all their weights for a few rows."""


@dataclass(frozen=True)
class Evaluation:
    """One look at held-out rows; `sums` and `added` are what a further look adds to."""

    metrics: ReconstructionMetrics
    sparsity_loss: float
    sums: ReconstructionSums
    added: float
    """What the activations of all rows add to the penalty, if it is a sum that no metric has."""

    @property
    def loss(self) -> float:
        """What training minimises, on these rows."""
        return self.metrics.recon_loss + self.sparsity_loss


@torch.no_grad()
def evaluate(
    sae: SAE,
    batches: Iterable[Tensor],
    *,
    scale: float,
    objective: Objective,
    weight: float,
    onto: Evaluation | None = None,
) -> Evaluation:
    """Look at raw rows, (B, D) each, with a folded SAE; at least one row is needed.

    With `onto`, the figures are those of its rows and these together.
    """
    sums = ReconstructionSums(sae.d_model, scale=scale)
    added = torch.zeros((), dtype=torch.float64, device=sae.device)
    for x in blocks(batches, sae):
        _add(x, sae, objective, sums, added)
    total = added.item()
    if onto is not None:
        sums.merge(onto.sums)
        total += onto.added
    metrics = sums.result()
    return Evaluation(metrics, weight * _penalty(objective, metrics, total), sums, total)


def _add(
    x: Tensor, sae: SAE, objective: Objective, sums: ReconstructionSums, added: Tensor
) -> None:
    """Add a block of rows; its activations (B, F) are gone before those of the next one come."""
    acts = sae.encode(x)
    sums.update(x, sae.decode(acts), acts)
    term = objective.penalty.term
    if isinstance(term, OfActs) and term.metric is None:
        added += term.value(acts, objective.slope).sum(dtype=torch.float64)


def _penalty(objective: Objective, metrics: ReconstructionMetrics, added: float) -> float:
    term = objective.penalty.term
    if isinstance(term, OfActs):
        return added / metrics.rows if term.metric is None else float(getattr(metrics, term.metric))
    l0 = torch.tensor(metrics.l0, dtype=torch.float64)
    return penalty(objective, l0, l0, 1).item()


@torch.no_grad()
def count_firings(sae: SAE, batches: Iterable[Tensor]) -> FiringCounts:
    """How often each feature fires on raw rows."""
    counts = FiringCounts(sae.d_hidden, sae.device)
    for x in blocks(batches, sae):
        counts.update(sae.fires(sae.pre_acts(x)))
    return counts


def blocks(batches: Iterable[Tensor], sae: SAE) -> Iterator[Tensor]:
    """The rows on the SAE's device as float32, few enough at a time for the (B, F) entries."""
    device = sae.device
    rows = block_rows(sae.d_hidden, device)
    for batch in batches:
        for x in torch.split(batch, rows):
            yield x.to(device).float()


def block_rows(d_hidden: int, device: torch.device) -> int:
    """Rows that `blocks` gives at a time."""
    if device.type == "cpu":
        return max(LEAST_ROWS, CACHED_ENTRIES // d_hidden)
    return max(1, DEVICE_ENTRIES // d_hidden)
