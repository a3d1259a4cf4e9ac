"""Work that a thread does behind whoever hands it over: in order, a bounded way, failures told."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")


def _one(_: object) -> int:
    return 1


class WorkBehind(Generic[Item]):
    """A thread that calls `work` on each item in order.

    Items of the sum `most` of their sizes are on their way at once, the one that is worked on
    included; an item that is larger goes alone. After the first failure of `work`, items are only
    passed to `discard`, and the failure is raised to the caller by the next call of any kind.
    """

    def __init__(
        self,
        work: Callable[[Item], None],
        discard: Callable[[Item], None],
        *,
        most: int,
        size: Callable[[Item], int] = _one,
        name: str,
    ) -> None:
        self._work = work
        self._discard = discard
        self._most = most
        self._size = size
        self._items: deque[Item] = deque()
        """Those on their way: the first is worked on."""
        self._sum = 0
        self._failure: BaseException | None = None
        self._told = False
        self._ending = False
        self._abandoned = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        """Whether some work has failed."""
        return self._failure is not None

    def put(self, item: Item) -> None:
        """Hand `item` over; waits while too much is on its way."""
        size = self._size(item)
        with self._changed:
            self._changed.wait_for(lambda: self.failed or self._has_room(size))
            self._raise_failure()
            self._items.append(item)
            self._sum += size
            self._changed.notify_all()

    def drain(self) -> None:
        """Wait until everything that was handed over is done."""
        with self._changed:
            self._changed.wait_for(lambda: not self._items)
        self._raise_failure()

    def close(self, *, abandon: bool = False) -> None:
        """End the thread once all is done; `abandon` discards what waits, and raises nothing.

        A failure is raised unless an earlier call did.
        """
        with self._changed:
            self._ending = True
            self._abandoned = abandon
            self._changed.notify_all()
        self._thread.join()
        if not (abandon or self._told):
            self._raise_failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        self.close(abandon=failure is not None)

    def _has_room(self, size: int) -> bool:
        return not self._items or self._sum + size <= self._most

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._told = True
            raise self._failure

    def _run(self) -> None:
        while self._next():
            item = self._items[0]
            try:
                if self.failed or self._abandoned:
                    self._discard(item)
                else:
                    self._work(item)
            except BaseException as error:  # noqa: BLE001 - it crosses over to the caller
                self._failure = self._failure or error
            with self._changed:
                self._items.popleft()
                self._sum -= self._size(item)
                del item
                self._changed.notify_all()

    def _next(self) -> bool:
        """Wait for an item; False when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ending)
            return bool(self._items)
