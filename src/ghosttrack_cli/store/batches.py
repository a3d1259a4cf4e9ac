"""Shuffled training batches from one layer: resident in memory, or streamed from the disk.

B batch, D d_model. The order is a function of (seed, epoch) and of the block size alone: chunks in
shuffled order make blocks, equal up to a chunk, the kept rows of a block are shuffled, and
batches are cut from the blocks one after the other. Where the rows lie changes nothing, so that a
run can go on from any step on another machine. Blocks are ordered, and read where they are not in
memory, while the ones before are used, into the next epoch too.
"""

from __future__ import annotations

import math
from contextlib import closing
from itertools import count, groupby, islice
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.store.blocks import (
    Block,
    DeviceBlock,
    ShuffledBlock,
    on_device,
    ordered_ahead,
    stream_blocks,
)
from ghosttrack_cli.store.dtypes import to_torch
from ghosttrack_cli.store.order import permutation

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import torch

    from ghosttrack_cli.store.dtypes import Array
    from ghosttrack_cli.store.reader import ActivationStore

BLOCK_ROWS = 65_536


def shuffled_blocks(chunks: int, blocks: int, seed: int, epoch: int) -> list[Block]:
    """So many blocks of an epoch's shuffled chunks, equal up to a chunk.

    A small last block would be what training ends on.
    """
    parts = np.array_split(permutation(chunks, seed, epoch), blocks)
    return [Block(epoch, number, part) for number, part in enumerate(parts)]


class RowBatches:
    """Batches (B, D) of a layer's kept rows, in the store's dtype, epoch after epoch."""

    def __init__(
        self,
        store: ActivationStore,
        layer: int,
        keep: Array,
        *,
        batch_size: int,
        seed: int,
        resident: bool,
        block_rows: int = BLOCK_ROWS,
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepare batches of the rows where `keep`, bool (rows,), holds.

        `resident` loads the whole layer to `device` at once; else blocks of about `block_rows` rows
        are read ahead by a thread. A block of all rows shuffles best; take `block_rows=store.rows`
        where a layer fits the memory.
        """
        assert keep.shape == (store.rows,)
        assert keep.any()
        self.store, self.layer, self.seed = store, layer, seed
        self.rows = int(keep.sum())
        """Kept rows."""
        self.batch_size = min(batch_size, self.rows)
        self.device = device
        self._keep = keep
        self._blocks = min(store.chunks, math.ceil(store.rows / block_rows))
        starts = np.arange(0, store.rows, store.chunk_rows)
        self._kept_in_chunk = np.add.reduceat(keep, starts, dtype=np.int64)
        rows = store.read(layer) if resident else None
        self._at_host = str(device) == "cpu"
        self._rows = rows if self._at_host else None
        self._on_device = None if rows is None or self._at_host else to_torch(rows).to(device)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; the rows after the last full batch wait for another epoch."""
        return self.rows // self.batch_size

    def batches(self, step: int = 0) -> Generator[torch.Tensor]:
        """Batches (B, D) after the first `step`, epoch after epoch; the same whenever asked.

        Raises:
            CorruptionError: a chunk is missing or not what was committed.
        """
        epoch, done = divmod(step, self.steps_per_epoch)
        start, skip = self._place(epoch, done * self.batch_size)
        with closing(self._shuffled(islice(self._blocks_from(epoch), start, None))) as shuffled:
            for _, blocks in groupby(shuffled, key=lambda block: block.epoch):
                yield from self._cut(blocks, skip)
                skip = 0

    def order(self, epoch: int) -> Array:
        """Row numbers in the order of an epoch, int64 (rows,)."""
        blocks = islice(self._blocks_from(epoch), self._blocks)
        return np.concatenate([self._block_order(block) for block in blocks])

    def _blocks_from(self, epoch: int) -> Iterator[Block]:
        """All blocks of an epoch and of those after it."""
        for later in count(epoch):
            yield from shuffled_blocks(self.store.chunks, self._blocks, self.seed, later)

    def _place(self, epoch: int, position: int) -> tuple[int, int]:
        """The block of an epoch in which its kept row `position` lies, and where in it."""
        blocks = islice(self._blocks_from(epoch), self._blocks)
        kept = [int(self._kept_in_chunk[block.chunks].sum()) for block in blocks]
        ends = np.cumsum(kept)
        number = int(np.searchsorted(ends, position, side="right"))
        return number, position - int(ends[number] - kept[number])

    def _block_order(self, block: Block) -> Array:
        size = self.store.chunk_rows
        kept = [index * size + np.flatnonzero(self._chunk_mask(index)) for index in block.chunks]
        rows = np.concatenate(kept)
        return rows[permutation(len(rows), self.seed, block.epoch, 1 + block.number)]

    def _chunk_mask(self, index: int) -> Array:
        start = int(index) * self.store.chunk_rows
        return self._keep[start : start + self.store.chunk_rows]

    def _shuffled(self, blocks: Iterator[Block]) -> Generator[ShuffledBlock | DeviceBlock]:
        if self._on_device is not None:
            return self._device_blocks(self._on_device, blocks)
        if self._rows is not None:
            return self._resident_blocks(self._rows, blocks)
        return self._streamed_blocks(blocks)

    def _resident_blocks(self, rows: Array, blocks: Iterator[Block]) -> Generator[ShuffledBlock]:
        with closing(ordered_ahead(blocks, self._block_order)) as ordered:
            for block, order in ordered:
                yield ShuffledBlock(block.epoch, rows, order)

    def _device_blocks(self, rows: torch.Tensor, blocks: Iterator[Block]) -> Generator[DeviceBlock]:
        with closing(ordered_ahead(blocks, self._block_order)) as ordered:
            for block, order in ordered:
                yield DeviceBlock(block.epoch, rows, on_device(order, self.device))

    def _streamed_blocks(self, blocks: Iterator[Block]) -> Generator[ShuffledBlock | DeviceBlock]:
        """Blocks from the disk; whole ones to a device, where their rows are gathered faster."""
        with closing(stream_blocks(self.store, self.layer, blocks, self._order_inside)) as streamed:
            for block in streamed:
                yield block if self._at_host else block.to(self.device)

    def _order_inside(self, block: Block) -> Array:
        """The order of a block as places in its chunks, which lie one after the other."""
        slots = np.empty(self.store.chunks, np.int64)
        slots[block.chunks] = np.arange(len(block.chunks))
        chunks, places = np.divmod(self._block_order(block), self.store.chunk_rows)
        inside: Array = slots[chunks] * self.store.chunk_rows + places
        return inside

    def _cut(
        self, blocks: Iterator[ShuffledBlock | DeviceBlock], skip: int
    ) -> Generator[torch.Tensor]:
        """Batches of the rows of one epoch after the first `skip`; a last small one is left out."""
        import torch

        pieces: list[torch.Tensor] = []
        missing = self.batch_size
        for block in blocks:
            start, skip = skip, 0
            while start < len(block):
                pieces.append(block.take(start, start + missing))
                start += len(pieces[-1])
                missing -= len(pieces[-1])
                if not missing:
                    yield pieces[0] if len(pieces) == 1 else torch.cat(pieces)
                    pieces, missing = [], self.batch_size


def sequential_batches(
    store: ActivationStore, layer: int, keep: Array, batch_size: int
) -> Iterator[torch.Tensor]:
    """All kept rows of a layer in their order, (B, D) with a shorter last batch; for evaluation."""
    pieces: list[Array] = []
    for index in range(store.chunks):
        start = index * store.chunk_rows
        mask = keep[start : start + store.chunk_rows]
        if not mask.any():
            continue
        pieces.append(store.chunk(layer, index)[mask])
        rows = np.concatenate(pieces)
        full = len(rows) // batch_size * batch_size
        for first in range(0, full, batch_size):
            yield to_torch(rows[first : first + batch_size])
        pieces = [rows[full:]]
    if pieces and len(pieces[0]):
        yield to_torch(pieces[0])
