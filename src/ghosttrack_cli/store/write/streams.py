"""Rows on their way into chunks: one stream for each array, in row order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.errors import ConflictError, ModelError
from ghosttrack_cli.store.format import chunks
from ghosttrack_cli.store.format.dtypes import to_numpy
from ghosttrack_cli.store.format.norms import square_norms
from ghosttrack_cli.store.write.growing_array import start_chunk

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from ghosttrack_cli.files import DiskQueue
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.format.chunks import ChunkSpec
    from ghosttrack_cli.store.format.dtypes import Array
    from ghosttrack_cli.store.write.growing_array import GrowingChunk

LARGEST_NORM = float(np.finfo(np.float32).max)
BLOCK_BYTES = 2**19
"""What is done with rows is done with this much at a time, while it is in the cache."""


@dataclass(frozen=True)
class FilledChunk:
    """A chunk that got all its rows: `rows` of them, fewer in the last one."""

    spec: ChunkSpec
    index: int
    rows: int
    content: GrowingChunk
    squares: Array | None
    """Squared norms of the rows, for layers."""


class RowStream:
    """Rows of token ids, document ids or positions; rows that are committed are only compared."""

    def __init__(
        self,
        store: Path,
        spec: ChunkSpec,
        rows: int,
        checksums: list[int],
        disk: DiskQueue | None = None,
    ) -> None:
        self.spec = spec
        self._disk = disk
        self.next = rows
        """The row that comes next."""
        self._store, self._committed, self._checksums = store, rows, checksums
        self._chunk: GrowingChunk | None = None
        self._compared: tuple[int, Array] | None = None

    def put(self, start: int, values: Array) -> None:
        """Take the rows from `start` on, all of one chunk, that are not there yet."""
        values = to_numpy(values, self.spec.dtype)
        self._compare(start, values[: max(0, self._committed - start)])
        new = values[max(0, self.next - start) :]
        if len(new):
            self._open_chunk().write(np.ascontiguousarray(new))
            self.next += len(new)

    def _open_chunk(self) -> GrowingChunk:
        if self._chunk is None:
            index = self.next // self.spec.rows
            self._chunk = start_chunk(self._store, self.spec, index, self._disk)
            there = self.next % self.spec.rows
            if there:
                self._chunk.write(self._load_tail(there))
        return self._chunk

    def _load_tail(self, rows: int) -> Array:
        index, tail = self.next // self.spec.rows, self.spec.empty(rows)
        chunks.read(self._store, self.spec, index, self._checksums[index], tail)
        return tail

    def _compare(self, start: int, values: Array) -> None:
        if not len(values):
            return
        stored = self._stored(start // self.spec.rows)
        first = start % self.spec.rows
        same = stored[first : first + len(values)] == values
        if not same.all():
            row = int(np.argmin(same))
            raise ConflictError(
                f"the text differs from that of the store: {self.spec.array}, row {start + row}",
                fields={self.spec.array: (stored[first + row], values[row])},
                hint="use the corpus that the store was made from, or --overwrite to start over",
            )

    def _stored(self, index: int) -> Array:
        if self._compared is None or self._compared[0] != index:
            rows = min(self.spec.rows, self._committed - index * self.spec.rows)
            stored = self.spec.empty(rows)
            chunks.read(self._store, self.spec, index, self._checksums[index], stored)
            self._compared = (index, stored)
        return self._compared[1]

    def take(self) -> FilledChunk | None:
        """Give the chunk in progress away; None if there is none."""
        if self._chunk is None:
            return None
        content, self._chunk = self._chunk, None
        index = (self.next - 1) // self.spec.rows
        rows = self.next - index * self.spec.rows
        return FilledChunk(self.spec, index, rows, content, self._take_squares(rows))

    def give_up(self) -> None:
        """Leave the chunk in progress to the next writer."""
        if self._chunk is not None:
            self._chunk.give_up()

    def _take_squares(self, rows: int) -> Array | None:
        del rows
        return None


class LayerStream(RowStream):
    """Rows of one layer, checked to be finite as they come."""

    def __init__(
        self,
        store: Path,
        spec: ChunkSpec,
        rows: int,
        checksums: list[int],
        disk: DiskQueue,
        *,
        layer: AnySite,
        computed_in: str | None = None,
    ) -> None:
        super().__init__(store, spec, rows, checksums, disk)
        self.layer = layer
        self.computed_in = computed_in
        """The dtype of the model that gives the rows, which were rounded on their way here."""
        self._squares = np.empty(spec.rows, np.float64)

    def put_layer(self, start: int, values: torch.Tensor | Array, doc_ids: Array) -> None:
        """Take the rows from `start` on, all of one chunk, that are not there yet.

        Raises:
            ModelError: a value is not finite, or not after rounding to the store's dtype.
        """
        there = self.next - start
        if there >= len(values):
            return
        rows = np.ascontiguousarray(to_numpy(values[there:], self.spec.dtype))
        chunk, first = self._open_chunk(), self.next
        size = max(1, BLOCK_BYTES // self.spec.row_bytes)
        for block in (rows[k : k + size] for k in range(0, len(rows), size)):
            chunk.write(block)
            self._note_squares(self.next % self.spec.rows, block)
            self.next += len(block)
        bad = self._bad_rows(first % self.spec.rows, len(rows))
        if len(bad):
            row = int(bad[0])
            values_there = to_numpy(values[there + row], np.dtype(np.float64))
            self._refuse(first + row, int(doc_ids[there + row]), values_there)

    def _note_squares(self, first: int, rows: Array) -> None:
        self._squares[first : first + len(rows)] = square_norms(rows)

    def _bad_rows(self, first: int, count: int) -> Array:
        """Rows whose norm is not finite, of `count` from `first` on."""
        return np.flatnonzero(~(self._squares[first : first + count] <= LARGEST_NORM**2))

    def _refuse(self, row: int, document: int, values: Array) -> None:
        where = f"layer {self.layer}, document {document}, row {row}"
        dtype = self.spec.dtype.name
        anew = "--overwrite, or the same without it in another --workspace"
        finite, rounded = np.isfinite(values), self.computed_in not in {None, dtype}
        if finite.all():
            largest = values[np.argmax(np.abs(values))]
            raise ModelError(
                f"activation too large for {dtype}: {where}: {largest:g}",
                hint="no working model has such values: its weights or its config.json are damaged",
            )
        bad = values[~finite][0]
        if rounded and dtype == "float16" and np.isinf(values[~finite]).all():
            raise ModelError(
                f"activation too large for {dtype}, which the store keeps: {where}",
                hint=f"ghosttrack extract --store-dtype float32 {anew}",
            )
        raise ModelError(
            f"activations are not finite: {where}: {bad}",
            hint=f"the model's weights or its config.json are damaged: {self.computed_in} does not "
            "overflow"
            if self.computed_in in {"float32", "bfloat16"}
            else f"the model overflows: ghosttrack extract --dtype float32 {anew}",
        )

    def _load_tail(self, rows: int) -> Array:
        tail = super()._load_tail(rows)
        self._note_squares(0, tail)
        return tail

    def _take_squares(self, rows: int) -> Array:
        return self._squares[:rows].copy()
