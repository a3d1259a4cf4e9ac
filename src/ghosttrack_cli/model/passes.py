"""Forward passes over many batches, in order: on a CPU several at once, each on its share of cores.

Threads of one pass wait for one another after every operation, and for the caller between passes.
Passes with fewer threads each, side by side, wait less, and the caller works meanwhile.
"""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import torch

from ghosttrack_cli.machine.ahead import in_order
from ghosttrack_cli.machine.devices import torch_pool

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable

    from torch import Tensor

    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.site import AnySite

Item = TypeVar("Item")
Streams: TypeAlias = "dict[AnySite, Tensor]"
"""layer -> (B, T, D)"""


def residual_passes(
    model: ResidualModel, batches: Iterable[tuple[Item, Tensor]], layers: Collection[AnySite]
) -> Generator[tuple[Item, Streams]]:
    """Each item of `batches` with the residual streams of its token ids (B, T), in their order.

    To be closed by whoever does not read it to its end. What `batches` raises comes after the
    streams of all batches before; on a CPU up to two more batches than passes at once are read
    ahead of what is yielded.
    """
    if model.device.type == "cpu":
        yield from _side_by_side(model, batches, layers)
    else:
        for item, ids in batches:
            yield item, model.residuals(ids, layers)


def lanes(threads: int) -> int:
    """How many passes share `threads` cores evenly: two, or the fewest that can."""
    return next((count for count in range(2, threads) if threads % count == 0), threads)


def _side_by_side(
    model: ResidualModel, batches: Iterable[tuple[Item, Tensor]], layers: Collection[AnySite]
) -> Generator[tuple[Item, Streams]]:
    threads = torch.get_num_threads()
    count = lanes(threads)
    free: queue.SimpleQueue[ResidualModel] = queue.SimpleQueue()
    for _ in range(count):
        free.put(model.twin())

    def run(batch: tuple[Item, Tensor]) -> Streams:
        twin = free.get()
        try:
            return twin.residuals(batch[1], layers)
        finally:
            free.put(twin)

    with torch_pool(count, threads // count, "forward") as pool:
        # One more than run are begun, so that none idles meanwhile.
        for (item, _), streams in in_order(pool, run, batches, count):
            yield item, streams
