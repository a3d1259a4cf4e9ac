"""How a stage talks to whoever runs it: figures out, notices out, the wish to stop in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Progress:
    """One report of a running stage.

    `stage` is a short title ("extract", "train layer 6"); `done` of `total` counts `unit`s, with
    `total` None while unknown; `figures` are the numbers that matter, already named as people read
    them and in display order, e.g. {"loss": 0.12, "L0": 71.3}. Rate and time left are the viewer's.
    """

    stage: str
    done: int
    total: int | None
    unit: str
    figures: Mapping[str, float | str] = field(default_factory=dict)


def _ignore(_: object) -> None:
    return


def _no_signal() -> int | None:
    return None


@dataclass(frozen=True)
class Monitor:
    """The callbacks of one run: all silent by default.

    `progress` may be called often (the viewer throttles). `notice` is for one line that the user
    must see: what was changed, skipped, retried or approximated. `stop_signal` gives the number of
    the signal that asked to stop, or None; a stage looks at it after every step, commits, and
    raises `Stopped`.
    """

    progress: Callable[[Progress], None] = _ignore
    notice: Callable[[str], None] = _ignore
    stop_signal: Callable[[], int | None] = _no_signal


SILENT = Monitor()
