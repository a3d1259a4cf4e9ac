"""Signals that ask a stage to stop, and how it obeys."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], int | None]]:
    """Give a function that tells which signal asked to stop; a second signal quits at once.

    The first SIGINT, SIGTERM or SIGUSR1 is only noted, so that the stage can finish its step and
    commit. The handlers that were there before come back at the end.
    """
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)

    previous = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def raise_if_stopped(stop_signal: Callable[[], int | None]) -> None:
    """Raise Stopped when a signal came; call it only where everything is committed."""
    number = stop_signal()
    if number is not None:
        raise Stopped(number)
