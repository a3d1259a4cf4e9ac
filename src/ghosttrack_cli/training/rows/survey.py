"""One pass over a layer before it is trained: which rows count, their scale and their mean.

N rows, n rows of a chunk, D d_model.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.machine.ahead import in_order, workers
from ghosttrack_cli.monitor import SILENT
from ghosttrack_cli.store.format.norms import column_sums, norms_of, square_norms
from ghosttrack_cli.store.read.row_order import MaskReport, Split, row_mask
from ghosttrack_cli.training.parts import SURVEY

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.read.reader import ActivationStore

MOST_CHUNKS = 8
"""In memory at once: no more than the blocks that training holds (store/blocks.py)."""


@dataclass(frozen=True)
class Survey:
    """What one pass over a layer found.

    `scale` = 1 / sqrt(E |x|^2) and `mean` = scale E x, (D,), over the unmasked training rows;
    `mask` counts all rows, those left out by reason, and those kept.
    """

    scale: float
    mean: Tensor
    mask: dict[str, int]
    train_rows: int
    val_rows: int
    held_out: dict[str, Any]
    """`unit`, "documents" or "blocks of windows"; `parts` of them, `held_out` of these."""


def survey_layer(
    store: ActivationStore,
    layer: AnySite,
    split: Split,
    monitor: Monitor = SILENT,
) -> tuple[Survey, NDArray[np.bool_]]:
    """The survey of a layer, and which of its rows the mask keeps, bool (N,).

    `split` says which rows are held out. Chunks are looked at side by side
    and added up in their order, so that the sums do not depend on the threads.

    Raises:
        CorpusError: nothing to train on, or nothing to validate on.
        CorruptionError: a chunk is missing or not what was committed.
    """
    positions, tokens, validation = store.positions(), store.token_ids(), split.validation
    median = store.statistics(layer).median_norm

    def look(index: int) -> _Part:
        start = index * store.chunk_rows
        place = slice(start, start + store.chunk_rows)
        rows = store.chunk(layer, index)  # (n, D)
        squares = square_norms(rows)  # (n,)
        keep, report = row_mask(
            positions[place],
            tokens[place],
            store.identity.special_token_ids,
            norms_of(squares),
            median,
        )
        train = keep & ~validation[place]
        total = column_sums(rows, train)
        return _Part(keep, report, int(train.sum()), total, float(squares[train].sum()))

    sums = _Sums(store.d_model)
    threads = min(torch.get_num_threads(), MOST_CHUNKS)
    with workers(threads, "survey") as pool:
        looks = in_order(pool, look, range(store.chunks), threads)
        seen = monitor.counted(SURVEY, looks, store.chunks, "chunks")
        keep = [sums.add(part) for _, part in seen]
    return sums.result(layer, split), np.concatenate(keep)


class _Part(NamedTuple):
    """What a chunk adds."""

    keep: NDArray[np.bool_]  # (n,)
    report: MaskReport
    train_rows: int
    total: NDArray[np.float64]  # (D,) the sum of its training rows
    energy: float  # the sum of their squared norms


class _Sums:
    """The parts of all chunks so far."""

    def __init__(self, d_model: int) -> None:
        self._mask: Counter[str] = Counter()
        self._train_rows = 0
        self._total = np.zeros(d_model)  # (D,)
        self._energy = 0.0

    def add(self, part: _Part) -> NDArray[np.bool_]:
        """Add a part; which of its rows are kept."""
        self._mask.update(asdict(part.report))
        self._train_rows += part.train_rows
        self._total += part.total
        self._energy += part.energy
        return part.keep

    def result(self, layer: AnySite, split: Split) -> Survey:
        """The survey; CorpusError where a side of the split has no rows."""
        mask, train_rows = self._mask, self._train_rows
        val_rows = mask["kept"] - train_rows
        _check_sides(layer, mask["rows"], {"train on": train_rows, "validate on": val_rows})
        if self._energy == 0:
            raise CorpusError(f"layer {layer}: all rows are zero")
        scale = (train_rows / self._energy) ** 0.5
        mean = torch.from_numpy(self._total / train_rows * scale).float()  # (D,)
        parts = {"unit": split.unit, "held_out": split.held_out, "parts": split.parts}
        return Survey(scale, mean, dict(mask), train_rows, val_rows, parts)


def _check_sides(layer: AnySite, stored: int, sides: dict[str, int]) -> None:
    for side, rows in sides.items():
        if rows == 0:
            raise CorpusError(
                f"layer {layer}: no rows to {side} among {stored:,} stored",
                hint="extract more text: at least two windows with usable tokens are needed",
            )
