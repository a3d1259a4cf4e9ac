"""What the collectors read: the rows of a batch, and where features fire on them.

N rows of a batch, E events (one feature active on one row), F d_hidden, W tokens of a window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from ghosttrack_cli.sae.firing import fires

if TYPE_CHECKING:
    from ghosttrack_cli.interpretation.collect.arrays import BoolArray, IntArray, SingleArray


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

    `pre_acts` (Fb, N) lies where the model computes; an activation is pre_acts where that exceeds
    `thresholds`, elsewhere it is 0. These are not negative: (Fb, 1) of features, or (1, N) of rows.
    """

    first: int
    pre_acts: Tensor
    thresholds: Tensor

    def events(self) -> Events:
        """All events of the block; on a CPU numpy takes half the time that torch does."""
        if self.pre_acts.device.type == "cpu":
            pre_acts = self.pre_acts.numpy()
            flat = np.flatnonzero(fires(pre_acts, self.thresholds.numpy()))
            values = pre_acts.reshape(-1).take(flat)
        else:
            places = self.active().flatten().nonzero()[:, 0]
            flat, values = places.cpu().numpy(), self.pre_acts.flatten()[places].cpu().numpy()
        features, columns = np.divmod(flat, self.pre_acts.shape[1])
        return Events(features + self.first, columns, values)

    def active(self) -> Tensor:
        """Where features fire, (Fb, N)."""
        return fires(self.pre_acts, self.thresholds)

    def around(
        self, features: IntArray, columns: IntArray, surroundings: Surroundings
    ) -> SingleArray:
        """Activations of `features` (E,) around `columns` (E,), 0 where none is shown: (E, W)."""
        local, side = features - self.first, surroundings.side
        acts = self._slices(local, columns - side, 2 * side + 1)
        shown = surroundings.shown.take(columns, axis=0)
        shown &= fires(acts, self._thresholds_around(local, columns, side))
        np.copyto(acts, 0, where=np.logical_not(shown, out=shown))
        return acts

    def _thresholds_around(self, local: IntArray, columns: IntArray, side: int) -> SingleArray:
        """What features `local` (E,) must exceed around `columns` (E,): (E, 1) or (E, W)."""
        thresholds: SingleArray = self.thresholds.cpu().numpy()
        if thresholds.shape[1] == 1:
            return thresholds[local]
        places = columns[:, None] + np.arange(-side, side + 1)  # (E, W)
        found: SingleArray = thresholds[0, places.clip(0, thresholds.shape[1] - 1)]
        return found

    def _slices(self, local: IntArray, starts: IntArray, width: int) -> SingleArray:
        """`width` pre-activations of features `local` (E,) from the columns `starts` (E,) on.

        Nearly all of them lie whole inside the batch and are copied as runs of memory.
        """
        n_rows = self.pre_acts.shape[1]
        if self.pre_acts.device.type != "cpu" or width > n_rows:
            return self._picked(local, starts, width)
        runs = sliding_window_view(self.pre_acts.numpy(), width, axis=1)
        h: SingleArray = runs[local, starts.clip(0, n_rows - width)]
        beyond = (starts < 0) | (starts > n_rows - width)
        h[beyond] = self._picked(local[beyond], starts[beyond], width)
        return h

    def _picked(self, local: IntArray, starts: IntArray, width: int) -> SingleArray:
        """The same value by value; the outermost column stands for those beyond it."""
        columns = (starts[:, None] + np.arange(width)).clip(0, self.pre_acts.shape[1] - 1)
        places = (torch.from_numpy(index).to(self.pre_acts.device) for index in (local, columns))
        rows, at = places
        found: SingleArray = self.pre_acts[rows[:, None], at].cpu().numpy()
        return found


class Surroundings:
    """What stands around each row of a batch, once for all features and tables.

    `tokens` (N, W) are NO_TOKEN where the window of the row's text ends; `shown` (N, W) says where
    activations mean something: inside the window, on rows that are kept.
    """

    def __init__(self, rows: Rows, side: int) -> None:
        self.rows = rows
        self.side = side
        places = np.arange(len(rows))[:, None] + np.arange(-side, side + 1)  # (N, W)
        safe = places.clip(0, len(rows) - 1)
        inside = (places == safe) & (rows.windows[safe] == rows.windows[:, None])
        self.tokens = np.where(inside, rows.token_ids[safe], NO_TOKEN).astype(np.int32)
        self.shown: BoolArray = inside & rows.kept[safe]
