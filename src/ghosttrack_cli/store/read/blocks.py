"""Blocks of chunks, ordered and read ahead of the training that uses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.machine.ahead import in_order, taken_ahead, workers
from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.format.chunks import ChunkSpec
from ghosttrack_cli.store.format.dtypes import to_torch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

    import torch

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.format.dtypes import Array
    from ghosttrack_cli.store.read.reader import ActivationStore

BLOCKS_AHEAD = 2
BLOCKS_HELD = 1 + BLOCKS_AHEAD
"""In memory at once: the one in use and those read ahead."""
LOAD_THREADS = 2


@dataclass(frozen=True)
class Block:
    """Chunks that are shuffled together; `number` counts the blocks of an epoch."""

    epoch: int
    number: int
    chunks: Array


@dataclass(frozen=True)
class ShuffledBlock:
    """Rows (n, D) in the memory of the host, and the order (k,) in which k of them are taken."""

    epoch: int
    rows: Array
    order: Array

    def __len__(self) -> int:
        return len(self.order)

    def take(self, start: int, stop: int) -> torch.Tensor:
        """A new tensor of the rows at places `start` to `stop` of the order."""
        # numpy moves whole rows here; indexing in torch goes element by element.
        return to_torch(np.take(self.rows, self.order[start:stop], axis=0))

    def to(self, device: torch.device | str) -> DeviceBlock:
        """The same on a torch device."""
        order = on_device(self.order, device)
        return DeviceBlock(self.epoch, to_torch(self.rows).to(device), order)


@dataclass(frozen=True)
class DeviceBlock:
    """A `ShuffledBlock` on a torch device."""

    epoch: int
    rows: torch.Tensor
    order: torch.Tensor

    def __len__(self) -> int:
        return len(self.order)

    def take(self, start: int, stop: int) -> torch.Tensor:
        """A new tensor of the rows at places `start` to `stop` of the order."""
        return self.rows.index_select(0, self.order[start:stop])


def on_device(order: Array, device: torch.device | str) -> torch.Tensor:
    """An order on a torch device; from pinned memory, so that steps need not be waited for."""
    import torch

    places = torch.from_numpy(order)
    if torch.device(device).type == "cuda":
        places = places.pin_memory()
    return places.to(device, non_blocking=True)


def ordered_ahead(
    blocks: Iterator[Block], order: Callable[[Block], Array]
) -> Generator[tuple[Block, Array]]:
    """Each block with its order, which a thread works out while the one before is in use."""
    with workers(1, "row-orders") as pool:
        yield from in_order(pool, order, blocks, 1)


@dataclass(frozen=True)
class _Loading:
    block: Block
    buffer: Array
    chunks: list[Future[None]]
    order: Future[Array]


def stream_blocks(
    store: ActivationStore,
    layer: AnySite,
    blocks: Iterator[Block],
    order: Callable[[Block], Array],
) -> Generator[ShuffledBlock]:
    """Read blocks from the disk, two ahead of the one in use, every chunk checked.

    `order` gives the places to take inside a block whose chunks lie one after the other, a full
    chunk's rows apart. A block is valid until the next one is asked for.

    Raises:
        CorruptionError: a chunk is missing or not what was committed.
    """
    with workers(LOAD_THREADS, "row-batches") as pool:
        yield from _stream(store, layer, blocks, order, pool)


def _stream(
    store: ActivationStore,
    layer: AnySite,
    blocks: Iterator[Block],
    order: Callable[[Block], Array],
    pool: ThreadPoolExecutor,
) -> Generator[ShuffledBlock]:
    spec = ChunkSpec.of(store.identity, layout.layer_array(layer))
    spare: list[Array] = []

    def start(block: Block) -> _Loading:
        size = len(block.chunks) * store.chunk_rows
        fitting = next((buffer for buffer in spare if len(buffer) == size), None)
        spare.clear()
        buffer = spec.empty(size) if fitting is None else fitting
        chunks = [
            pool.submit(_load, store, layer, int(index), buffer[slot * store.chunk_rows :])
            for slot, index in enumerate(block.chunks)
        ]
        return _Loading(block, buffer, chunks, pool.submit(order, block))

    for loading in taken_ahead(map(start, blocks), BLOCKS_AHEAD):
        yield _finished(loading)
        spare.append(loading.buffer)


def _finished(loading: _Loading) -> ShuffledBlock:
    for chunk in loading.chunks:
        chunk.result()
    return ShuffledBlock(loading.block.epoch, loading.buffer, loading.order.result())


def _load(store: ActivationStore, layer: AnySite, index: int, out: Array) -> None:
    store.read_chunk_into(layer, index, out[: store.committed_rows(index)])
