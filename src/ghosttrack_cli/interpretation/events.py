"""What the collectors read: the rows of a batch, and where features fire on them.

N rows of a batch, E events (one feature active on one row), F d_hidden, W tokens of a window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from ghosttrack_cli.interpretation.arrays import BoolArray, IntArray, SingleArray


NO_TOKEN = -1
NO_ANSWER, FACTUAL, HALLUCINATED = 0, 1, 2


@dataclass(frozen=True)
class Rows:
    """N consecutive rows made of whole windows; every array is (N,).

    `numbers` are unique and increasing over the whole source. A window is a run of equal `windows`
    inside one document. Activations on rows that are not `kept` mean nothing and show as 0;
    statistics are over `counted` rows, a part of those kept. `answers` says which TruthfulQA
    answer a row belongs to, if any, and `questions` to which question; all rows of one question
    are in one batch.
    """

    token_ids: IntArray
    numbers: IntArray
    windows: IntArray
    documents: IntArray
    positions: IntArray
    kept: BoolArray
    counted: BoolArray
    answers: IntArray
    questions: IntArray

    def __len__(self) -> int:
        return len(self.token_ids)

    def masked(self, kept: BoolArray) -> Rows:
        """The same rows with a mask (N,) of one layer."""
        return replace(self, kept=self.kept & kept, counted=self.counted & kept)


@dataclass(frozen=True)
class Events:
    """Where features fire in a batch, by feature, then row; every array is (E,)."""

    features: IntArray
    columns: IntArray
    values: SingleArray

    def where(self, chosen: BoolArray) -> Events:
        """The events for which `chosen` (E,) holds."""
        return Events(self.features[chosen], self.columns[chosen], self.values[chosen])


@dataclass(frozen=True)
class Block:
    """The activations of consecutive features, from number `first` on, on the rows of a batch.

    `pre_acts` (Fb, N) lies where the model computes; an activation is pre_acts where that is above
    `thresholds` (Fb, 1) and above 0, elsewhere it is 0.
    """

    first: int
    pre_acts: Tensor
    thresholds: Tensor

    def events(self) -> Events:
        """All events of the block."""
        flat = nonzero(self.active())
        features, columns = np.divmod(flat, self.pre_acts.shape[1])
        values = self.pre_acts.flatten()[torch.from_numpy(flat).to(self.pre_acts.device)]
        return Events(features + self.first, columns, values.cpu().numpy())

    def active(self) -> Tensor:
        """Where features fire, (Fb, N)."""
        return self.pre_acts > self.thresholds.clamp(min=0)

    def around(self, features: IntArray, columns: IntArray) -> SingleArray:
        """Activations of `features` (E,) at `columns` (E, W): (E, W) float32."""
        device = self.pre_acts.device
        local = torch.from_numpy(features - self.first).to(device)
        h = self.pre_acts[local[:, None], torch.from_numpy(columns).to(device)]  # (E, W)
        acts: SingleArray = torch.where(h > self.thresholds[local], h, 0).relu().cpu().numpy()
        return acts


def nonzero(mask: Tensor) -> IntArray:
    """Flat indices of the true entries; on a CPU numpy is four times as fast as torch."""
    if mask.device.type == "cpu":
        return np.flatnonzero(mask.numpy())
    return mask.flatten().nonzero()[:, 0].cpu().numpy()
