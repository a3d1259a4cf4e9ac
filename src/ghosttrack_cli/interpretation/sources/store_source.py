"""Rows read back from the store: no pass of the language model.

N rows of a batch, D d_model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ghosttrack_cli.errors import StateError
from ghosttrack_cli.interpretation.collect.events import NO_ANSWER, Rows
from ghosttrack_cli.interpretation.collect.row_batch import BATCH_ROWS, JSON, RowBatch, RowCount
from ghosttrack_cli.interpretation.sources.slugs import limited
from ghosttrack_cli.report.facts import SourceFacts
from ghosttrack_cli.store.format.dtypes import to_torch
from ghosttrack_cli.text.folder import FILE_COUNTS
from ghosttrack_cli.text.position import checked_position, not_a_position
from ghosttrack_cli.text.usable_texts import LeftOut
from ghosttrack_cli.workspace import MAIN_SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from ghosttrack_cli.interpretation.collect.arrays import IntArray
    from ghosttrack_cli.settings.schema import InterpretationSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.read.reader import ActivationStore


class StoreSource:
    """The rows of a store in their order, in batches of whole windows.

    A stored window holds pieces of several documents; each piece is a window of its own here, so
    that what is shown around a firing never spans two documents.
    """

    def __init__(
        self, store: ActivationStore, settings: InterpretationSettings, device: torch.device
    ) -> None:
        self._store = store
        self._device = device
        self._slug = limited(MAIN_SOURCE, settings)
        self._tokens = store.token_ids().astype(np.int64)
        self._documents = store.doc_ids()
        self._positions = store.positions()
        self.total_rows: int | None = self._limit(settings)
        starts = np.flatnonzero(self._positions[: self.total_rows] == 0)
        self._starts = np.union1d(starts, [0, self.total_rows])
        if self.total_rows == 0:
            raise StateError(f"the store is empty: {store.path}", hint="ghosttrack extract")

    def _limit(self, settings: InterpretationSettings) -> int:
        """Rows to read: whole documents up to `max_texts`, rows up to `max_tokens`."""
        rows = self._store.rows
        if settings.max_texts is not None:
            new = np.flatnonzero(np.diff(self._documents, prepend=-1))
            rows = int(new[settings.max_texts]) if settings.max_texts < len(new) else rows
        return min(rows, settings.max_tokens or rows)

    @property
    def facts(self) -> SourceFacts:
        """What is read."""
        corpus, text = self._store.identity.corpus, self._store.commit.text or {}
        return SourceFacts(
            kind="store",
            slug=self._slug,
            name="store",
            corpus=str(corpus.get("name") or corpus.get("kind", "")) or None,
            texts=0,
            windows=0,
            rows=0,
            context_length=self._store.identity.context_length,
            truncated=0,
            skipped_files={name: n for name, n in text.items() if name in FILE_COUNTS},
            **LeftOut.of(text).counts(),
        )

    def identity(self) -> dict[str, JSON]:
        """The store's identity and how much of it is read."""
        return {"store": self._store.identity.to_json(), "rows": self.total_rows}

    def batches(self, layers: Sequence[AnySite], cursor: JSON | None) -> Iterator[RowBatch]:
        """The batches from row `cursor` on."""
        reader = ChunkReader(self._store, self._device)
        start = 0 if cursor is None else self._row(cursor)
        while start < self._starts[-1]:
            stop = self._stop(start)
            x = {layer: reader.read(layer, start, stop) for layer in layers}
            rows = self._rows(start, stop)
            before = self._documents[start - 1] if start else -1
            texts = int((np.diff(rows.documents, prepend=before) != 0).sum())
            windows = int(rows.windows[-1]) + 1
            yield RowBatch(rows, x, {"row": stop}, texts=texts, windows=windows)
            start = stop

    def _row(self, cursor: JSON) -> int:
        """Where a batch begins: with a window."""
        row: int = checked_position(cursor, "the store", ("row",))["row"]
        if row not in self._starts:
            raise not_a_position(cursor, "the store")
        return row

    def _stop(self, start: int) -> int:
        """The last beginning of a window within BATCH_ROWS, or the end of a longer window."""
        after = np.searchsorted(self._starts, start, side="right")
        last = np.searchsorted(self._starts, start + BATCH_ROWS, side="right") - 1
        return int(self._starts[max(after, last)])

    def _rows(self, start: int, stop: int) -> Rows:
        place = slice(start, stop)
        documents, positions = self._documents[place], self._positions[place]
        begins = (positions == 0) | (np.diff(documents, prepend=documents[:1]) != 0)
        begins[0] = True
        everything = np.ones(stop - start, bool)
        nothing: IntArray = np.full(stop - start, NO_ANSWER, np.int64)
        return Rows(
            token_ids=self._tokens[place],
            numbers=np.arange(start, stop),
            windows=np.cumsum(begins) - 1,
            documents=documents,
            positions=positions.astype(np.int64),
            kept=everything,
            counted=everything,
            answers=nothing,
            questions=nothing,
        )

    def count_rows(self, at_most: int) -> RowCount:  # noqa: ARG002 - the store knows
        """All rows that are read."""
        return RowCount(int(self._starts[-1]), "exactly")

    def probe(self, max_rows: int) -> Iterator[Tensor]:
        """Stored windows as they went through the model, at most `max_rows` rows."""
        for start, stop in zip(self._starts[:-1], self._starts[1:], strict=True):
            if stop > max_rows and start > 0:
                return
            yield torch.from_numpy(self._tokens[start:stop])


class ChunkReader:
    """Reads rows in order, each chunk once."""

    def __init__(self, store: ActivationStore, device: torch.device) -> None:
        self._store = store
        self._device = device
        self._held: dict[AnySite, tuple[int, Tensor]] = {}

    def read(self, layer: AnySite, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop`, (N, D) float32 on the device."""
        size = self._store.chunk_rows
        parts = []
        for index in range(start // size, -(-stop // size)):
            chunk, first = self._chunk(layer, index), index * size
            parts.append(chunk[max(0, start - first) : stop - first])
        return torch.cat(parts).to(self._device, torch.float32)

    def _chunk(self, layer: AnySite, index: int) -> Tensor:
        held = self._held.get(layer)
        if held is None or held[0] != index:
            held = index, to_torch(self._store.chunk(layer, index))
            self._held[layer] = held
        return held[1]
