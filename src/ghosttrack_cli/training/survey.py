"""One pass over a layer before it is trained: which rows count, their scale and their mean.

N rows, n rows of a chunk, D d_model.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.store.norms import column_sums, norms_of, square_norms
from ghosttrack_cli.store.rows import MaskReport, row_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ghosttrack_cli.store.reader import ActivationStore


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


def survey_layer(
    store: ActivationStore, layer: int, validation: NDArray[np.bool_]
) -> tuple[Survey, NDArray[np.bool_]]:
    """The survey of a layer, and which of its rows the mask keeps, bool (N,).

    `validation`, bool (N,), is true for rows that are held out. Chunks are looked at side by side
    and added up in their order, so that the sums do not depend on the threads.

    Raises:
        CorpusError: nothing to train on, or nothing to validate on.
        CorruptionError: a chunk is missing or not what was committed.
    """
    positions, tokens = store.positions(), store.token_ids()
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
        return _Part(keep, report, train, column_sums(rows[train]), squares[train].sum())

    with ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="survey") as pool:
        parts = list(pool.map(look, range(store.chunks)))
    return _survey(layer, parts), np.concatenate([part.keep for part in parts])


class _Part(NamedTuple):
    """What a chunk adds."""

    keep: NDArray[np.bool_]  # (n,)
    report: MaskReport
    train: NDArray[np.bool_]  # (n,)
    total: NDArray[np.float64]  # (D,) the sum of its training rows
    energy: np.float64  # the sum of their squared norms


def _survey(layer: int, parts: list[_Part]) -> Survey:
    mask: Counter[str] = Counter()
    for part in parts:
        mask.update(asdict(part.report))
    train_rows = sum(int(part.train.sum()) for part in parts)
    val_rows = mask["kept"] - train_rows
    for side, rows in (("train on", train_rows), ("validate on", val_rows)):
        if rows == 0:
            raise CorpusError(
                f"layer {layer}: no rows to {side} among {mask['rows']:,} stored",
                hint="extract more documents, or change val_fraction",
            )
    energy = float(sum(part.energy for part in parts))
    if energy == 0:
        raise CorpusError(f"layer {layer}: all rows are zero")
    scale = (train_rows / energy) ** 0.5
    mean = np.sum([part.total for part in parts], axis=0) / train_rows * scale  # (D,)
    return Survey(scale, torch.from_numpy(mean).float(), dict(mask), train_rows, val_rows)
