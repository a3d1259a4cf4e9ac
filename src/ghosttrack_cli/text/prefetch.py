"""Work that runs ahead in a thread, a bounded way, and ends when nobody reads it any more."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from ghosttrack_cli.machine.signals import raise_if_stopped
from ghosttrack_cli.monitor import SILENT, Monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Item = TypeVar("Item")
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class _Ended:
    error: BaseException | None


class Ahead(Generic[Item]):
    """Iterates over `produce(wanted)` in a background thread, `depth` items ahead.

    `wanted` tells the producer whether anyone still reads. Its exceptions are raised here, in
    place of the item. Waiting for an item ends with Stopped when a signal came.
    """

    def __init__(
        self,
        produce: Callable[[Callable[[], bool]], Iterator[Item]],
        *,
        depth: int,
        monitor: Monitor = SILENT,
    ) -> None:
        self._produce = produce
        self._queue: queue.Queue[Item | _Ended] = queue.Queue(depth)
        self._monitor = monitor
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="text-ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Ahead[Item]:
        return self

    def __next__(self) -> Item:
        item = self._take()
        if not isinstance(item, _Ended):
            return item
        self._queue.put(item)
        if item.error is not None:
            raise item.error
        raise StopIteration

    def _take(self) -> Item | _Ended:
        while True:
            try:
                return self._queue.get(timeout=POLL_SECONDS)
            except queue.Empty:
                raise_if_stopped(self._monitor.stop_signal)

    def close(self, seconds: float = 2.0) -> None:
        """Tell the thread to end and wait for it, at most `seconds`."""
        self._closed.set()
        self._thread.join(seconds)

    def _wanted(self) -> bool:
        return not self._closed.is_set()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._produce(self._wanted):
                self._put(item)
                if self._closed.is_set():
                    return
        except BaseException as raised:  # noqa: BLE001 - it crosses over to the reader
            error = raised
        self._put(_Ended(error))

    def _put(self, item: Item | _Ended) -> None:
        while self._wanted():
            try:
                self._queue.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return
