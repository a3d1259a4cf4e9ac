"""Rows on their way into chunks: one buffer for each array, filled in row order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.errors import ConflictError, ModelError
from ghosttrack_cli.store import chunks
from ghosttrack_cli.store.dtypes import to_numpy
from ghosttrack_cli.store.norms import square_norms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from ghosttrack_cli.store.chunks import ChunkSpec
    from ghosttrack_cli.store.dtypes import Array

LARGEST_NORM = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class FilledChunk:
    """A chunk ready to be written: `rows` rows, the rest of `values` is zeros."""

    spec: ChunkSpec
    index: int
    rows: int
    values: Array
    squares: Array | None
    """Squared norms of the rows, for layers."""
    release: Callable[[Array], None]
    """Takes `values` back once they are written."""


class RowBuffer:
    """Rows of token ids, document ids or positions; rows that are committed are only compared."""

    def __init__(self, store: Path, spec: ChunkSpec, rows: int, checksums: list[int]) -> None:
        self.spec = spec
        self.next = rows
        """The row that comes next."""
        self._store, self._committed, self._checksums = store, rows, checksums
        self._chunk: Array | None = None
        self._spare: deque[Array] = deque()
        self._compared: tuple[int, Array] | None = None

    def put(self, start: int, values: Array) -> None:
        """Take the rows from `start` on, all of one chunk, that are not there yet."""
        values = to_numpy(values, self.spec.dtype)
        self._compare(start, values[: max(0, self._committed - start)])
        if self.next < start + len(values):
            self._copy(values[self.next - start :])

    def _copy(self, values: Array) -> None:
        first = self.next % self.spec.rows
        self._open_chunk()[first : first + len(values)] = values
        self.next += len(values)

    def _open_chunk(self) -> Array:
        if self._chunk is None:
            self._chunk = self._spare.pop() if self._spare else self.spec.empty()
            there = self.next % self.spec.rows
            if there:
                self._load_tail(self._chunk[:there])
        return self._chunk

    def _load_tail(self, out: Array) -> None:
        index = self.next // self.spec.rows
        chunks.read(self._store, self.spec, index, self._checksums[index], out)

    def _compare(self, start: int, values: Array) -> None:
        if not len(values):
            return
        stored = self._stored(start // self.spec.rows)
        first = start % self.spec.rows
        same = stored[first : first + len(values)] == values
        if not same.all():
            row = int(np.argmin(same))
            raise ConflictError(
                f"the text is not that of the store: {self.spec.array}, row {start + row}",
                fields={self.spec.array: (stored[first + row], values[row])},
                hint="use the corpus that the store was made from, or --overwrite to start anew",
            )

    def _stored(self, index: int) -> Array:
        if self._compared is None or self._compared[0] != index:
            rows = min(self.spec.rows, self._committed - index * self.spec.rows)
            stored = self.spec.empty(rows)
            chunks.read(self._store, self.spec, index, self._checksums[index], stored)
            self._compared = (index, stored)
        return self._compared[1]

    def take(self) -> FilledChunk | None:
        """Give the chunk in progress away, padded with zeros; None if there is none."""
        if self._chunk is None:
            return None
        values, self._chunk = self._chunk, None
        index = (self.next - 1) // self.spec.rows
        rows = self.next - index * self.spec.rows
        values[rows:] = 0
        squares = self._take_squares(rows)
        return FilledChunk(self.spec, index, rows, values, squares, self._spare.append)

    def _take_squares(self, rows: int) -> Array | None:
        del rows
        return None


class LayerBuffer(RowBuffer):
    """Rows of one layer, checked to be finite as they come."""

    def __init__(
        self, store: Path, spec: ChunkSpec, rows: int, checksums: list[int], *, layer: int
    ) -> None:
        super().__init__(store, spec, rows, checksums)
        self.layer = layer
        self._squares = np.empty(spec.rows, np.float64)

    def put_layer(self, start: int, values: torch.Tensor | Array, doc_ids: Array) -> None:
        """Take the rows from `start` on, all of one chunk, that are not there yet.

        Raises:
            ModelError: a value is not finite, or not after rounding to the store's dtype.
        """
        if self.next >= start + len(values):
            return
        new = values[self.next - start :]
        first_row, first = self.next, self.next % self.spec.rows
        self._copy(to_numpy(new, self.spec.dtype))
        assert self._chunk is not None
        squares = square_norms(self._chunk[first : first + len(new)])
        self._squares[first : first + len(new)] = squares
        bad = np.flatnonzero(~(squares <= LARGEST_NORM**2))
        if len(bad):
            row = int(bad[0])
            document = int(doc_ids[first_row - start + row])
            self._refuse(first_row + row, document, to_numpy(new[row], np.dtype(np.float64)))

    def _refuse(self, row: int, document: int, values: Array) -> None:
        where = f"layer {self.layer}, document {document}, row {row}"
        dtype = self.spec.dtype.name
        if np.isfinite(values).all():
            largest = values[np.argmax(np.abs(values))]
            raise ModelError(
                f"activation too large for {dtype}: {where}: {largest:g}",
                hint="ghosttrack extract --store-dtype float32, with --overwrite or in another "
                "--workspace",
            )
        bad = values[~np.isfinite(values)][0]
        raise ModelError(
            f"activations that are not finite: {where}: {bad}",
            hint="compute in a wider dtype: --dtype float32",
        )

    def _load_tail(self, out: Array) -> None:
        super()._load_tail(out)
        self._squares[: len(out)] = square_norms(out)

    def _take_squares(self, rows: int) -> Array:
        return self._squares[:rows].copy()
