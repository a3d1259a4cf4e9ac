"""Kills at the system calls of `ghosttrack_cli.files`, and what must hold after each of them."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.files import places, staging, system
from ghosttrack_cli.store.format.commit_record import has_store, read_commit
from ghosttrack_cli.store.read.reader import ActivationStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from ghosttrack_cli.store.read.verify import BadChunk

WRITE = "in the middle of a write"
BACKGROUND_WRITE = "in the middle of a background write"
FSYNC = "before an fsync"
RENAME = "before a rename"
RENAMED = "after a rename"
REMOVE = "before or in the middle of a removal"
SOONEST = 1e-3
"""Seconds; what is due within them may as well strike at once."""
CALLS = (WRITE, BACKGROUND_WRITE, FSYNC, RENAME, RENAMED)


@dataclass(frozen=True)
class Kill:
    """At call number `at`, of those named `call` or of all; or some `seconds` after it."""

    at: int
    call: str | None = None
    seconds: float | None = None

    @property
    def halved(self) -> Kill:
        """The same after half as many calls or half as long; at the very first call in the end."""
        if self.seconds is not None and self.seconds >= SOONEST:
            return replace(self, seconds=self.seconds / 2)
        return Kill(self.at // 2, self.call) if self.at > 1 else Kill(1)


class Failpoints:
    """Stands in for `os` and `shutil` where files are written, and keeps a list of its calls.

    Acts at call number `at`, of those named `call` or of all; 0 is never. fsync is only noted: a
    process that is killed loses nothing that it gave to the kernel.
    """

    def __init__(self, at: int, act: Callable[[], None], call: str | None = None) -> None:
        self.at, self.act, self.call = at, act, call
        self.calls: list[str] = []
        self._counting = Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(os if hasattr(os, name) else shutil, name)

    def _reached(self, call: str) -> bool:
        with self._counting:
            self.calls.append(call)
            number = len(self.calls) if self.call is None else self.calls.count(self.call)
            return number == self.at and self.call in {None, call}

    def write(self, descriptor: int, data: memoryview) -> int:
        if not self._reached(WRITE):
            return os.write(descriptor, data)
        written = os.write(descriptor, data[: len(data) // 2])
        self.act()
        return written + os.write(descriptor, data[written:])

    def pwrite(self, descriptor: int, data: memoryview, offset: int) -> int:
        if not self._reached(BACKGROUND_WRITE):
            return os.pwrite(descriptor, data, offset)
        half = len(data) // 2
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & getattr(os, "O_DIRECT", 0):
            half -= half % staging.BLOCK_BYTES
        written = os.pwrite(descriptor, data[:half], offset) if half else 0
        self.act()
        return written + os.pwrite(descriptor, data[written:], offset + written)

    def fsync(self, _descriptor: int) -> None:
        if self._reached(FSYNC):
            self.act()

    def replace(self, source: Path, target: Path) -> None:
        if self._reached(RENAME):
            self.act()
        os.replace(source, target)  # noqa: PTH105 - stands in for it
        if self._reached(RENAMED):
            self.act()

    def unlink(self, path: Path) -> None:
        if self._reached(REMOVE):
            self.act()
        path.unlink()

    def rmtree(self, path: Path) -> None:
        if self._reached(REMOVE):
            for file in sorted(one for one in path.rglob("*") if one.is_file())[::2]:
                file.unlink()
            self.act()
        shutil.rmtree(path)


class Failing(Failpoints):
    """From call number `at` on, that one or all further ones fail.

    Opening a file to write is a call too; opening one to read is none.
    """

    def __init__(self, at: int, number: int, *, for_good: bool) -> None:
        super().__init__(at, self.fail)
        self.number, self.for_good, self.failed = number, for_good, False

    def fail(self) -> None:
        self.failed = True
        raise OSError(self.number, os.strerror(self.number))

    def _reached(self, call: str) -> bool:
        return super()._reached(call) or (self.for_good and self.failed)

    def open(self, path: Any, flags: int, *mode: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and self._reached("open"):
            self.act()
        return os.open(path, flags, *mode)


def install(failpoints: Any) -> None:
    """Let `failpoints` stand in for `os` where files are written, moved and deleted."""
    for module in (system, staging, places):
        module.os = failpoints  # type: ignore[attr-defined]
    places.shutil = failpoints  # type: ignore[attr-defined]


def uninstall() -> None:
    """Write files as ever."""
    install(os)
    places.shutil = shutil  # type: ignore[attr-defined]


def never() -> None:
    return


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_killed(store: Path, kills: Iterable[Kill], run: Callable[[Kill], bool]) -> int:
    """How many of the kills struck; after each the store must be sound and no smaller.

    `run` tells whether a run was killed before it ended.
    """
    struck, rows = 0, committed_rows(store)
    for kill in kills:
        struck += run(kill)
        before, rows = rows, committed_rows(store)
        assert all(rows[array] >= count for array, count in before.items()), kill
        assert found_bad(store) == [], kill
    return struck


def committed_rows(store: Path) -> Mapping[str, int]:
    """Of each array."""
    arrays = read_commit(store).arrays if has_store(store) else {}
    return {name: array.rows for name, array in arrays.items()}


def found_bad(store: Path) -> list[BadChunk]:
    """What is not as it was committed."""
    return ActivationStore.open(store).verify() if has_store(store) else []
