"""Forward passes over many batches, in order: on a CPU several at once, each on its share of cores.

Threads of one pass wait for one another after every operation, and for the caller between passes.
Passes with fewer threads each, side by side, wait less, and the caller works meanwhile.
"""

from __future__ import annotations

import queue
from collections import deque
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import torch

from ghosttrack_cli.machine.devices import torch_pool

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator
    from concurrent.futures import Future

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

    def run(ids: Tensor) -> Streams:
        twin = free.get()
        try:
            return twin.residuals(ids, layers)
        finally:
            free.put(twin)

    waiting: deque[tuple[Item, Future[Streams]]] = deque()
    failure: list[Exception] = []
    with torch_pool(count, threads // count, "forward") as pool:
        try:
            for item, ids in _until_failure(batches, failure):
                waiting.append((item, pool.submit(run, ids)))
                if len(waiting) > count:  # one more than run, so that none idles meanwhile
                    yield _take(waiting)
            while waiting:
                yield _take(waiting)
        finally:
            for _, later in waiting:
                later.cancel()
    if failure:
        raise failure[0]


def _take(waiting: deque[tuple[Item, Future[Streams]]]) -> tuple[Item, Streams]:
    item, streams = waiting.popleft()
    return item, streams.result()


def _until_failure(source: Iterable[Item], failure: list[Exception]) -> Iterator[Item]:
    try:
        yield from source
    except Exception as error:  # noqa: BLE001 - it is raised when what came before is through
        failure.append(error)
