"""Shuffled training batches from one layer: resident in memory, or streamed from the disk.

B batch, D d_model. The order is a function of (seed, epoch) and of the block size alone: chunks in
shuffled order make blocks, equal up to a chunk, the kept rows of a block are shuffled, and
batches are cut from the blocks one after the other. Where the rows lie changes nothing, so that a
run can go on from any step on another machine.
"""

from __future__ import annotations

import math
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.store.blocks import Block, DeviceBlock, ShuffledBlock, stream_blocks
from ghosttrack_cli.store.dtypes import to_torch
from ghosttrack_cli.store.order import permutation

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import torch

    from ghosttrack_cli.store.dtypes import Array
    from ghosttrack_cli.store.reader import ActivationStore

BLOCK_ROWS = 65_536


def shuffled_blocks(chunks: int, count: int, seed: int, epoch: int) -> list[Block]:
    """`count` blocks of an epoch's shuffled chunks, equal up to a chunk.

    A small last block would be what training ends on.
    """
    parts = np.array_split(permutation(chunks, seed, epoch), count)
    return [Block(number, part) for number, part in enumerate(parts)]


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
        at_host = str(device) == "cpu"
        self._rows = rows if at_host else None
        self._on_device = None if rows is None or at_host else to_torch(rows).to(device)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; the rows after the last full batch wait for another epoch."""
        return self.rows // self.batch_size

    def batches(self, epoch: int, start_step: int = 0) -> Iterator[torch.Tensor]:
        """The batches (B, D) of an epoch from `start_step` on; the same whenever asked."""
        blocks, skip = self._blocks_from(epoch, start_step * self.batch_size)
        return self._cut(self._shuffled(epoch, blocks), skip, self.steps_per_epoch - start_step)

    def order(self, epoch: int) -> Array:
        """Row numbers in the order of an epoch, int64 (rows,)."""
        blocks, _ = self._blocks_from(epoch, 0)
        return np.concatenate([self._block_order(epoch, block) for block in blocks])

    def _blocks_from(self, epoch: int, position: int) -> tuple[list[Block], int]:
        blocks = shuffled_blocks(self.store.chunks, self._blocks, self.seed, epoch)
        for number, block in enumerate(blocks):
            kept = int(self._kept_in_chunk[block.chunks].sum())
            if position < kept:
                return blocks[number:], position
            position -= kept
        return [], 0

    def _block_order(self, epoch: int, block: Block) -> Array:
        size = self.store.chunk_rows
        kept = [index * size + np.flatnonzero(self._chunk_mask(index)) for index in block.chunks]
        rows = np.concatenate(kept)
        return rows[permutation(len(rows), self.seed, epoch, 1 + block.number)]

    def _chunk_mask(self, index: int) -> Array:
        start = int(index) * self.store.chunk_rows
        return self._keep[start : start + self.store.chunk_rows]

    def _shuffled(self, epoch: int, blocks: list[Block]) -> Generator[ShuffledBlock | DeviceBlock]:
        if self._on_device is not None:
            return self._device_blocks(self._on_device, epoch, blocks)
        if self._rows is not None:
            return self._resident_blocks(self._rows, epoch, blocks)
        return self._streamed_blocks(epoch, blocks)

    def _resident_blocks(
        self, rows: Array, epoch: int, blocks: list[Block]
    ) -> Generator[ShuffledBlock]:
        for block in blocks:
            yield ShuffledBlock(rows, self._block_order(epoch, block))

    def _device_blocks(
        self, rows: torch.Tensor, epoch: int, blocks: list[Block]
    ) -> Generator[DeviceBlock]:
        import torch

        for block in blocks:
            order = torch.from_numpy(self._block_order(epoch, block))
            yield DeviceBlock(rows, order.to(self.device))

    def _streamed_blocks(self, epoch: int, blocks: list[Block]) -> Generator[ShuffledBlock]:
        def local_order(block: Block) -> Array:
            order = self._block_order(epoch, block)
            slots = np.empty(self.store.chunks, np.int64)
            slots[block.chunks] = np.arange(len(block.chunks))
            size = self.store.chunk_rows
            local: Array = slots[order // size] * size + order % size
            return local

        return stream_blocks(self.store, self.layer, blocks, local_order)

    def _cut(
        self, blocks: Generator[ShuffledBlock | DeviceBlock], skip: int, steps: int
    ) -> Iterator[torch.Tensor]:
        import torch

        with closing(blocks):
            pieces: list[torch.Tensor] = []
            missing = self.batch_size
            for block in blocks:
                start, skip = skip, 0
                while start < len(block) and steps:
                    pieces.append(block.take(start, start + missing).to(self.device))
                    start += len(pieces[-1])
                    missing -= len(pieces[-1])
                    if not missing:
                        yield pieces[0] if len(pieces) == 1 else torch.cat(pieces)
                        pieces, missing, steps = [], self.batch_size, steps - 1
                if not steps:
                    return


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
