"""Work that threads begin ahead of its reader: in order, a bounded way, ended with the reader."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def workers(
    count: int, name: str, each: Callable[[], object] | None = None
) -> Iterator[ThreadPoolExecutor]:
    """So many threads, each of which calls `each` first; none of them is left when the block ends.

    Where the block fails or its reader stops, work that waits is dropped and only what runs is
    waited for.
    """
    pool = ThreadPoolExecutor(count, name, initializer=each)
    try:
        yield pool
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    else:
        pool.shutdown()


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Generator[tuple[Item, Result]]:
    """Each item with what `work` makes of it, in order; `ahead` more have been begun by then.

    What `work` raises comes in place of its item, what `items` raises after all items before.
    """
    begun = ((item, pool.submit(work, item)) for item in items)
    for item, result in taken_ahead(begun, ahead):
        yield item, result.result()


def taken_ahead(items: Iterable[Item], ahead: int) -> Generator[Item]:
    """Items, each given once `ahead` more have been taken from where they come.

    What `items` raises comes after all items before.
    """
    waiting: deque[Item] = deque()
    failure: list[Exception] = []
    for item in _until_failure(items, failure):
        waiting.append(item)
        if len(waiting) > ahead:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()
    if failure:
        raise failure[0]


def _until_failure(items: Iterable[Item], failure: list[Exception]) -> Iterator[Item]:
    try:
        yield from items
    except Exception as error:  # noqa: BLE001 - it is raised when what came before is through
        failure.append(error)
