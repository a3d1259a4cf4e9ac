"""A document stream that survives a lost hub: it reconnects from its own state."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import HubError
from ghosttrack_cli.machine import clock
from ghosttrack_cli.monitor import SILENT, Monitor
from ghosttrack_cli.quantities import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghosttrack_cli.text.documents import JSON, Corpus, Document, DocumentStream

FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
TICK_SECONDS = 0.2


class RetryingStream:
    """The documents of `corpus` from `state` on, through interruptions of up to `retry_minutes`.

    Waits between attempts double from one second to a minute, each times a random factor between
    0.5 and 1.5 so that many readers do not come back at once. Before the first document nothing
    is retried: a hub that was never there is reported at once.

    Raises:
        HubError: not worth a retry, or still failing after `retry_minutes`.
    """

    def __init__(
        self,
        corpus: Corpus,
        state: JSON | None = None,
        *,
        monitor: Monitor = SILENT,
        retry_minutes: float = 10.0,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._corpus = corpus
        self._monitor = monitor
        self._retry_seconds = 60 * retry_minutes
        self._wanted = wanted
        self._jitter = random.Random()
        self._stream: DocumentStream | None = None
        self._state = state
        self._started = False

    def __iter__(self) -> RetryingStream:
        return self

    def __next__(self) -> Document:
        lost_at: float | None = None
        wait = FIRST_WAIT
        while True:
            try:
                document = self._next()
            except HubError as error:
                now = clock.monotonic()
                lost_at = now if lost_at is None else lost_at
                if not self._worth_retrying(error, now - lost_at):
                    raise
                self._pause(wait, error)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                if lost_at is not None:
                    self._monitor.notice("the hub is back, resuming")
                return document

    def _next(self) -> Document:
        if self._stream is None:
            self._stream = self._corpus.documents(self._state)
        try:
            document = next(self._stream)
        except StopIteration:
            self._state = self._stream.state()
            raise
        self._state = self._stream.state()
        self._started = True
        return document

    def _worth_retrying(self, error: HubError, lost_seconds: float) -> bool:
        self._stream = None
        return (
            error.transient
            and self._started
            and self._wanted()
            and lost_seconds < self._retry_seconds
        )

    def _pause(self, wait: float, error: HubError) -> None:
        wait *= self._jitter.uniform(0.5, 1.5)
        self._monitor.notice(f"{error.what}; trying again in {format_seconds(wait)}")
        end = clock.monotonic() + wait
        while self._wanted() and (left := end - clock.monotonic()) > 0:
            clock.sleep(min(left, TICK_SECONDS))

    def state(self) -> JSON | None:
        """Where the stream is."""
        return self._state
