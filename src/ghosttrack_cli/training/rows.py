"""The rows of one layer as training sees them: masked, split by document, surveyed.

B batch, N rows, D d_model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from ghosttrack_cli import runtime
from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.store.batches import BLOCK_ROWS, RowBatches
from ghosttrack_cli.store.blocks import BLOCKS_HELD
from ghosttrack_cli.store.dtypes import to_torch
from ghosttrack_cli.store.norms import row_norms
from ghosttrack_cli.store.order import fold_keys, splitmix64
from ghosttrack_cli.store.rows import row_mask, split_documents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from ghosttrack_cli.settings import SAETrainingSettings
    from ghosttrack_cli.store.reader import ActivationStore

RESIDENT_SHARE = 0.5
BLOCK_BYTES = 2**28
FOLDS = 8
FOLD_ROWS = 4096


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


def block_rows(store: ActivationStore) -> int:
    """Rows that are shuffled together: a function of the store alone, so that orders stay equal.

    All, if they take no more memory than the blocks that are held at once: better mixed rows make
    a better SAE (docs/recipe.md).
    """
    size = max(BLOCK_ROWS, BLOCK_BYTES // store.identity.row_bytes)
    return store.rows if store.rows <= BLOCKS_HELD * size else size


def fits(store: ActivationStore, device: torch.device, at_once: int) -> bool:
    """Whether the rows of so many layers that train at once may stay on the device."""
    size = at_once * store.rows * store.identity.row_bytes
    return size <= RESIDENT_SHARE * runtime.available_bytes(device)


class TrainingRows(Protocol):
    """Where a trainer gets its rows from: raw, as stored."""

    @property
    def survey(self) -> Survey:
        """Scale, mean and counts."""
        ...

    def batches(self, batch_size: int, step: int) -> Iterator[Tensor]:
        """Batches (B, D) from the step after `step` finished ones on, epoch after epoch."""
        ...

    def validation(self, limit: int | None = None) -> Iterator[Tensor]:
        """All held-out rows, or the same random `limit` of them, each once."""
        ...

    def folds(self) -> Iterator[tuple[int, Tensor]]:
        """All held-out rows with the fold of their documents, 0 to FOLDS - 1, each once."""
        ...

    def sample(self, limit: int) -> Iterator[Tensor]:
        """The same random `limit` training rows, each once."""
        ...


class LayerRows:
    """The rows of a layer of a store, one of `at_once` that share the memory."""

    def __init__(
        self,
        store: ActivationStore,
        layer: int,
        training: SAETrainingSettings,
        device: torch.device,
        *,
        at_once: int = 1,
    ) -> None:
        self._store = store
        self._layer = layer
        self._device = device
        self._at_once = at_once
        self._seed = training.seed
        validation = split_documents(store.doc_ids(), training.val_fraction, training.seed)  # (N,)
        sums = _SurveySums(store, layer, validation)
        self._train = sums.keep & ~validation  # (N,)
        self._validation = sums.keep & validation  # (N,)
        self.survey = sums.result()
        self._resident: dict[int, list[Tensor]] = {}

    def batches(self, batch_size: int, step: int) -> Iterator[Tensor]:
        """Batches (B, D) from the step after `step` finished ones on, epoch after epoch."""
        rows = RowBatches(
            self._store,
            self._layer,
            self._train,
            batch_size=batch_size,
            seed=self._seed,
            resident=fits(self._store, self._device, self._at_once),
            block_rows=block_rows(self._store),
            device=self._device,
        )
        return rows.batches(step)

    def validation(self, limit: int | None = None) -> Iterator[Tensor]:
        """All held-out rows, or the same random `limit` of them, each once."""
        if limit is None:
            return self._read(self._validation)
        if limit not in self._resident:
            self._resident = {limit: list(self._read(self._some(self._validation, limit)))}
        return iter(self._resident[limit])

    def folds(self) -> Iterator[tuple[int, Tensor]]:
        """All held-out rows with the fold of their documents, 0 to FOLDS - 1, each once."""
        hashes = splitmix64(self._store.doc_ids().astype(np.uint64) ^ fold_keys(self._seed))
        fold = (hashes % np.uint64(FOLDS)).astype(np.int64)  # (N,)
        waiting: list[list[Tensor]] = [[] for _ in range(FOLDS)]
        for index, inside in self._chunks(self._validation):
            rows = self._store.chunk(self._layer, index)
            start = index * self._store.chunk_rows
            numbers = fold[start : start + len(rows)]
            for number in np.unique(numbers[inside]).tolist():
                waiting[number].append(to_torch(rows[inside & (numbers == number)]))
                if sum(map(len, waiting[number])) >= FOLD_ROWS:
                    yield number, torch.cat(waiting[number])
                    waiting[number] = []
        yield from ((number, torch.cat(rows)) for number, rows in enumerate(waiting) if rows)

    def sample(self, limit: int) -> Iterator[Tensor]:
        """The same random `limit` training rows, each once."""
        return self._read(self._some(self._train, limit))

    def _some(self, keep: NDArray[np.bool_], limit: int) -> NDArray[np.bool_]:
        """At most `limit` of the kept rows, drawn from the seed."""
        (indices,) = np.nonzero(keep)
        if len(indices) <= limit:
            return keep
        chosen = np.random.default_rng(self._seed).choice(indices, limit, replace=False)
        some = np.zeros_like(keep)
        some[chosen] = True
        return some

    def _read(self, keep: NDArray[np.bool_]) -> Iterator[Tensor]:
        """The kept rows in stored order, chunk by chunk."""
        for index, inside in self._chunks(keep):
            yield to_torch(self._store.chunk(self._layer, index)[inside])

    def _chunks(self, keep: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """The chunks that have kept rows, each with which of its rows are."""
        size = self._store.chunk_rows
        for index, start in enumerate(range(0, self._store.rows, size)):
            inside = keep[start : start + size]
            if inside.any():
                yield index, inside


class _SurveySums:
    """One pass over a layer: the mask of each row, and sums over the unmasked training rows."""

    def __init__(self, store: ActivationStore, layer: int, validation: NDArray[np.bool_]) -> None:
        self._store = store
        self._layer = layer
        self.keep = np.zeros(store.rows, bool)  # (N,)
        self._total = torch.zeros(store.d_model, dtype=torch.float64)  # (D,)
        self._energy = 0.0
        self._counts: dict[str, int] = {}
        self._train_rows = self._val_rows = 0
        self._positions, self._tokens = store.positions(), store.token_ids()
        median = store.statistics(layer).median_norm
        for index, start in enumerate(range(0, store.rows, store.chunk_rows)):
            self._add(index, slice(start, start + store.chunk_rows), validation, median)

    def _add(self, index: int, place: slice, validation: NDArray[np.bool_], median: float) -> None:
        rows = self._store.chunk(self._layer, index)  # (n, D)
        keep, report = row_mask(
            self._positions[place],
            self._tokens[place],
            self._store.identity.special_token_ids,
            row_norms(rows),
            median,
        )
        self.keep[place] = keep
        for name, count in asdict(report).items():
            self._counts[name] = self._counts.get(name, 0) + count
        train = keep & ~validation[place]
        x = to_torch(rows[train]).double()  # (n, D)
        self._total += x.sum(dim=0)
        self._energy += x.square().sum().item()
        self._train_rows += int(train.sum())
        self._val_rows += int((keep & validation[place]).sum())

    def result(self) -> Survey:
        """The survey; CorpusError where a side of the split has no rows."""
        for side, rows in (("train on", self._train_rows), ("validate on", self._val_rows)):
            if rows == 0:
                raise CorpusError(
                    f"layer {self._layer}: no rows to {side} among {self._store.rows:,} stored",
                    hint="extract more documents, or change val_fraction",
                )
        if self._energy == 0:
            raise CorpusError(f"layer {self._layer}: all rows are zero")
        scale = (self._train_rows / self._energy) ** 0.5
        mean = (self._total / self._train_rows * scale).float()
        return Survey(scale, mean, self._counts, self._train_rows, self._val_rows)
