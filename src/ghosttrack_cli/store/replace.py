"""`extract --overwrite`: the earlier store waits beside the new one until that has rows.

    activations.zarr/             the new store
    .activations.zarr.previous/   the earlier one, until the first commit with rows of the new one

Whoever reads meanwhile finds the earlier one (`commit_record.standing`). It comes back when the new
one ends without rows: at once, or, where the process was killed, by the next extraction.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, DiskError, StateError
from ghosttrack_cli.leftovers import clear
from ghosttrack_cli.monitor import SILENT, Monitor
from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.format.commit_record import has_rows, read_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

PURPOSE = "extract --overwrite"


class Earlier:
    """The store `path` that a new one may replace; for whoever holds the writer's lock."""

    def __init__(self, path: Path, monitor: Monitor = SILENT) -> None:
        self.waits = False
        """Whether it is out of the way of a new one that has no rows yet."""
        self._path = path
        self._previous = layout.previous_path(path)
        self._monitor = monitor
        self._readers = ExitStack()

    def set_aside(self) -> None:
        """Make room for a new store.

        Raises:
            LockedError: another process reads it.
        """
        settle(self._path, self._monitor.notice)
        if files.is_there(self._path):
            self._readers.enter_context(_no_readers(self._path))
            files.rename(self._path, self._previous)
            self.waits = True

    def give_way(self) -> None:
        """Delete it, now that the new store has rows; nothing if it is gone already."""
        if not self.waits:
            return
        self.waits = False
        self._monitor.accepted()
        _delete(self._previous, self._path, self._readers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Put it back if it still waits; what the disk refuses now the next extraction does."""
        with self._readers:
            if self.waits:
                self._monitor.notice(f"the new store has no rows: {_kept(self._previous)}")
                with suppress(DiskError):
                    _put_back(self._path)


def settle(path: Path, notice: Callable[[str], None]) -> None:
    """Finish what a killed `extract --overwrite` left; for whoever holds the writer's lock.

    Raises:
        LockedError: another process reads the earlier store.
    """
    previous = layout.previous_path(path)
    if not files.is_folder(previous):
        return
    if has_rows(path):
        clear(previous, notice)
        return
    with _no_readers(path):
        notice(f"the last {PURPOSE} ended before its first rows: {_kept(previous)}")
        _put_back(path)


def replaced_by_rows(path: Path) -> list[Path]:
    """An earlier store that a kill left beside the one that has replaced it."""
    previous = layout.previous_path(path)
    return [previous] if files.is_folder(previous) and has_rows(path) else []


def settle_store(path: Path, notice: Callable[[str], None]) -> None:
    """`settle`, for whoever does not hold the writer's lock.

    Raises:
        LockedError: another process reads the earlier store, or writes the new one.
    """
    if files.is_folder(layout.previous_path(path)):
        with files.exclusive_lock(layout.lock_path(path), purpose="extract"):
            settle(path, notice)


def remove_store(path: Path) -> None:
    """Delete a store; a kill in between leaves no store, or the whole one.

    Raises:
        LockedError: another process reads it.
    """
    if files.is_there(path):
        _delete(path, path, _no_readers(path))


def _put_back(path: Path) -> None:
    files.remove(path)
    files.rename(layout.previous_path(path), path)


def _kept(folder: Path) -> str:
    try:
        rows = read_folder(folder).rows
    except (StateError, CorruptionError, DiskError):
        return "what was there before is kept"
    return f"the earlier one, {rows:,} rows, is kept"


def _delete(folder: Path, store: Path, alone: AbstractContextManager[object]) -> None:
    """Move `folder` out of its place in one step, while nobody reads (`alone`), then delete it."""
    trash = store.with_name(f".{store.name}{files.DELETED_SUFFIX}")
    with alone:
        files.remove(trash)
        files.rename(folder, trash)
    files.remove(trash)


def _no_readers(path: Path) -> AbstractContextManager[None]:
    return files.exclusive_lock(files.readers_lock(path), purpose=PURPOSE)
