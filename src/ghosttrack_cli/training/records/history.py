"""The course of a training, one entry an evaluation: the original's columns and ours."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ghosttrack_cli import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

COLUMNS = {
    "train_loss": "mean loss of the batches since the last entry",
    "val_loss": "loss on held-out rows",
    "recon_loss": "held-out share of energy not explained, E|x - x_hat|^2 where E|x|^2 = 1",
    "sparsity_loss": "held-out penalty, weight included",
    "train_sparsity": "mean L0 of the batches since the last entry",
    "sparsity": "held-out L0, active features per token",
    "lr": "learning rate of the last step",
    "step": "finished steps",
    "epoch": "passes over the training rows",
    "train_recon_loss": "mean reconstruction loss of the batches since the last entry",
    "fvu": "held-out fraction of variance unexplained",
    "mse": "held-out raw squared error per element",
    "l1": "held-out mean sum of activations",
    "dead_fraction": "share of features that did not fire in the last dead_rows training rows",
    "dead_rows": "training rows behind dead_fraction",
    "sparsity_weight": "lambda of the last step",
    "gradient_norm": "mean global gradient norm before clipping",
    "clipped": "share of the steps whose gradient was clipped",
    "threshold": "mean threshold",
    "val_rows": "held-out rows behind the figures on them",
    "train_rows": "training rows behind the means since the last entry",
}


@dataclass
class History:
    """Columns of equal length."""

    columns: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in COLUMNS})

    def __len__(self) -> int:
        return len(self.columns["step"])

    def add(self, entry: Mapping[str, float]) -> None:
        """Append one entry, which has exactly the columns."""
        assert entry.keys() == self.columns.keys(), entry.keys() ^ self.columns.keys()
        for name, value in entry.items():
            self.columns[name].append(value)

    def last(self) -> dict[str, float]:
        """The newest entry."""
        return {name: values[-1] for name, values in self.columns.items()}

    def entries(self) -> Iterator[dict[str, float]]:
        """All entries, the oldest first."""
        for i in range(len(self)):
            yield {name: values[i] for name, values in self.columns.items()}

    def settled(self) -> bool:
        """Whether training has converged.

        The held-out reconstruction loss moved between the last two entries by less than 2 % of
        itself, or by less than 1 % of the largest one.
        """
        losses = self.columns["recon_loss"]
        if len(losses) < 2:
            return False
        return abs(losses[-1] - losses[-2]) <= max(0.02 * losses[-1], 0.01 * max(losses))

    def write(self, path: Path) -> None:
        """Write the history as JSON, and the same as one line an entry beside it."""
        files.write_sealed(path, self.columns)
        lines = [json.dumps(entry) for entry in self.entries()]
        files.write_text(metrics_path(path), "".join(f"{line}\n" for line in lines))


def metrics_path(history: Path) -> Path:
    """The `metrics.jsonl` of a history file."""
    return history.with_name(history.name.replace("_history.json", "_metrics.jsonl"))
