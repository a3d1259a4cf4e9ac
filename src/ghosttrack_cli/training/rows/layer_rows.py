"""The rows of one layer as training sees them: masked, split by document, surveyed.

B batch, N rows, D d_model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from ghosttrack_cli.machine import memory
from ghosttrack_cli.monitor import SILENT
from ghosttrack_cli.splitmix64 import splitmix64
from ghosttrack_cli.store.format.dtypes import to_torch
from ghosttrack_cli.store.read.batches import BLOCK_ROWS, RowBatches
from ghosttrack_cli.store.read.blocks import BLOCKS_HELD
from ghosttrack_cli.store.read.order import fold_keys
from ghosttrack_cli.store.read.row_order import Split, split_rows
from ghosttrack_cli.training.parts import SURVEY
from ghosttrack_cli.training.rows.survey import survey_layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.settings.schema import SAETrainingSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.read.reader import ActivationStore
    from ghosttrack_cli.training.rows.survey import Survey

RESIDENT_SHARE = 0.5
BLOCK_BYTES = 2**28
FOLDS = 8
FOLD_ROWS = 4096


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
    return size <= RESIDENT_SHARE * memory.available_bytes(device)


def split_store(store: ActivationStore, val_fraction: float, seed: int) -> Split:
    """Which rows of a store are held out: what each layer's norms mask besides does not matter."""
    positions = store.positions()
    special = np.isin(store.token_ids(), np.fromiter(store.identity.special_token_ids, np.int64))
    counted = (positions != 0) & ~special  # (N,)
    return split_rows(store.doc_ids(), positions, counted, val_fraction, seed)


class TrainingRows(Protocol):
    """Where a trainer gets its rows from: raw, as stored."""

    @property
    def survey(self) -> Survey:
        """Scale, mean and counts."""
        ...

    def batches(self, batch_size: int, step: int, stop: int) -> Iterator[Tensor]:
        """Batches (B, D) after the first `step` of `stop`, epoch after epoch."""
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
        layer: AnySite,
        training: SAETrainingSettings,
        device: torch.device,
        *,
        at_once: int = 1,
        monitor: Monitor = SILENT,
    ) -> None:
        self._store = store
        self._layer = layer
        self._device = device
        self._at_once = at_once
        self._seed = training.seed
        monitor.begin(SURVEY)
        split = split_store(store, training.val_fraction, training.seed)
        validation = split.validation  # (N,)
        self.survey, keep = survey_layer(store, layer, split, monitor)
        self._train = keep & ~validation  # (N,)
        self._validation = keep & validation  # (N,)
        self._looked_at: dict[int, list[Tensor]] = {}
        self._batches: RowBatches | None = None

    def batches(self, batch_size: int, step: int, stop: int) -> Iterator[Tensor]:
        """Batches (B, D) after the first `step` of `stop`, epoch after epoch."""
        self._batches = RowBatches(
            self._store,
            self._layer,
            self._train,
            batch_size=batch_size,
            seed=self._seed,
            resident=fits(self._store, self._device, self._at_once),
            block_rows=block_rows(self._store),
            device=self._device,
        )
        return self._batches.batches(step, stop)

    def validation(self, limit: int | None = None) -> Iterator[Tensor]:
        """All held-out rows, or the same random `limit` of them, each once."""
        if limit is None:
            return self._read(self._validation)
        if limit not in self._looked_at:
            self._looked_at = {limit: list(self._read(self._some(self._validation, limit)))}
        return iter(self._looked_at[limit])

    def folds(self) -> Iterator[tuple[int, Tensor]]:
        """All held-out rows with the fold of their documents, 0 to FOLDS - 1, each once."""
        hashes = splitmix64(self._store.doc_ids().astype(np.uint64) ^ fold_keys(self._seed))
        fold = (hashes % np.uint64(FOLDS)).astype(np.int64)  # (N,)
        waiting: list[list[Tensor]] = [[] for _ in range(FOLDS)]
        for index, inside in self._chunks(self._validation):
            start = index * self._store.chunk_rows
            numbers = fold[start : start + len(inside)][inside]  # (n,)
            rows = self._rows(index, inside)  # (n, D)
            for number in np.unique(numbers).tolist():
                here = torch.from_numpy(np.flatnonzero(numbers == number))
                waiting[number].append(rows.index_select(0, here.to(rows.device)))
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
            yield self._rows(index, inside)

    def _rows(self, index: int, inside: NDArray[np.bool_]) -> Tensor:
        """Rows (n, D) of a chunk, from where training has them, in memory or on the disk."""
        if self._batches is not None and self._batches.resident:
            return self._batches.take(index * self._store.chunk_rows + np.flatnonzero(inside))
        return to_torch(self._store.chunk(self._layer, index)[inside])

    def _chunks(self, keep: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """The chunks that have kept rows, each with which of its rows are."""
        size = self._store.chunk_rows
        for index, start in enumerate(range(0, self._store.rows, size)):
            inside = keep[start : start + size]
            if inside.any():
                yield index, inside
