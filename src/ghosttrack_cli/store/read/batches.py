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
from itertools import groupby, islice
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.store.format.dtypes import to_torch
from ghosttrack_cli.store.read.blocks import (
    Block,
    DeviceBlock,
    ShuffledBlock,
    on_device,
    ordered_ahead,
    stream_blocks,
)
from ghosttrack_cli.store.read.order import permutation

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    import torch

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.format.dtypes import Array
    from ghosttrack_cli.store.read.reader import ActivationStore

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
        layer: AnySite,
        keep: Array,
        *,
        batch_size: int,
        seed: int,
        resident: bool,
        block_rows: int = BLOCK_ROWS,
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepare batches of the rows where `keep`, bool (rows,), holds.

        `resident` loads the whole layer to `device` at once, which is done with one block anyway;
        else blocks of about `block_rows` rows are read ahead by threads. A block of all rows
        shuffles best; take `block_rows=store.rows` where a layer fits the memory.
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
        self._at_host = str(device) == "cpu"
        self._rows = self._loaded() if resident or self._blocks == 1 else None

    def _loaded(self) -> Array | torch.Tensor:
        """The whole layer in memory; numpy on the host, where it gathers rows faster than torch."""
        rows = self.store.read(self.layer)
        return rows if self._at_host else to_torch(rows).to(self.device)

    @property
    def resident(self) -> bool:
        """Whether the whole layer is in memory."""
        return self._rows is not None

    def take(self, places: Array) -> torch.Tensor:
        """Rows (n, D) of a resident layer by their numbers in the store, int64 (n,)."""
        return self._in_memory(0, places).take(0, len(places))

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch; the rows after the last full batch wait for another epoch."""
        return self.rows // self.batch_size

    def batches(self, step: int, stop: int) -> Generator[torch.Tensor]:
        """Batches (B, D) after the first `step` of `stop`, epoch after epoch.

        Raises:
            CorruptionError: a chunk is missing or not what was committed.
        """
        epoch, done = divmod(step, self.steps_per_epoch)
        start, skip = self._place(epoch, done * self.batch_size)
        coming = self._blocks_of(range(epoch, math.ceil(stop / self.steps_per_epoch)))
        with closing(self._shuffled(islice(coming, start, None))) as shuffled:
            yield from islice(self._epochs(shuffled, skip), stop - step)

    def order(self, epoch: int) -> Array:
        """Row numbers in the order of an epoch, int64 (rows,)."""
        return np.concatenate([self._block_order(block) for block in self._blocks_of([epoch])])

    def _blocks_of(self, epochs: Iterable[int]) -> Iterator[Block]:
        for epoch in epochs:
            yield from shuffled_blocks(self.store.chunks, self._blocks, self.seed, epoch)

    def _place(self, epoch: int, position: int) -> tuple[int, int]:
        """The block of an epoch in which its kept row `position` lies, and where in it."""
        blocks = self._blocks_of([epoch])
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
        return self._resident_blocks(blocks) if self.resident else self._streamed_blocks(blocks)

    def _resident_blocks(self, blocks: Iterator[Block]) -> Generator[ShuffledBlock | DeviceBlock]:
        with closing(ordered_ahead(blocks, self._block_order)) as ordered:
            for block, order in ordered:
                yield self._in_memory(block.epoch, order)

    def _in_memory(self, epoch: int, order: Array) -> ShuffledBlock | DeviceBlock:
        assert self._rows is not None, "the layer is not resident"
        if isinstance(self._rows, np.ndarray):
            return ShuffledBlock(epoch, self._rows, order)
        return DeviceBlock(epoch, self._rows, on_device(order, self.device))

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

    def _epochs(
        self, shuffled: Iterator[ShuffledBlock | DeviceBlock], skip: int
    ) -> Generator[torch.Tensor]:
        """Batches of all epochs, without the first `skip` rows of the first one."""
        for _, blocks in groupby(shuffled, key=lambda block: block.epoch):
            yield from self._cut(blocks, skip)
            skip = 0

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
