"""The clocks: one that decides, one for people to read."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def monotonic() -> float:
    """Seconds on a clock that never jumps: the only one that decides anything."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait; here so that tests can replace it together with the clock."""
    time.sleep(seconds)


def utc_now() -> str:
    """The wall clock as ISO 8601, for people to read; nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
