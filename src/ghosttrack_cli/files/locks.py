"""Locks on what lies in a folder: one writer, or any number of readers, each known by name.

A lock is a record lock of the kernel on a file `.NAME.lock`. It belongs to one process, not to the
children that it leaves behind, and ends with it however that ends. Two of its rules are kept here:
closing any descriptor of the file gives the lock up, so each process opens a lock file once; and a
process never stands in its own way, so what its threads hold is counted here.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import DiskError, LockedError
from ghosttrack_cli.files import system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READERS_SUFFIX = ".readers.lock"
TRIES, PAUSE = 20, 0.01
"""How often, and after how many seconds, a reader asks again: another one may be signing."""
HINT = "wait for it to end, or use another --workspace"
REFUSED = "the file system of this folder takes no locks: put the --workspace on another one"
MAX_WORDS = 2**16
_guard = threading.RLock()


@dataclass
class _Held:
    """A lock file that this process has open, and how many of its threads hold it."""

    descriptor: int
    shared: bool
    holders: int = 1


_held: dict[Path, _Held] = {}


@contextmanager
def exclusive_lock(path: Path, *, purpose: str) -> Iterator[None]:
    """Hold the lock file `path` alone; the kernel frees it however the process ends.

    Raises:
        LockedError: another one holds it; the message names that process.
        DiskError: the file cannot be made, or its file system takes no locks.
    """
    key = _take(path, purpose, shared=False)
    try:
        yield
    finally:
        _give_back(key)


@contextmanager
def shared_lock(path: Path, *, purpose: str) -> Iterator[None]:
    """Hold the lock file `path` beside others who read; in a read-only folder there is nothing to.

    Raises:
        LockedError: a writer holds it; the message names that process.
        DiskError: its file system takes no locks.
    """
    key = _take(path, purpose, shared=True)
    try:
        yield
    finally:
        _give_back(key)


def lock_holders(folder: Path) -> list[str]:
    """Who holds an `exclusive_lock` in `folder`, in the holders' words; without taking any."""
    with _guard, suppress(OSError):
        paths = sorted(folder.glob(".*.lock"))
        return [
            words
            for path in paths
            if not path.name.endswith(READERS_SUFFIX) and (words := _holder_of(path))
        ]
    return []


def readers_lock(path: Path) -> Path:
    """The lock file of those who read the file or folder `path`."""
    return path.with_name(f".{path.name}{READERS_SUFFIX}")


def _take(path: Path, purpose: str, *, shared: bool) -> Path | None:
    """Take the lock; None if there is nothing to lock because nobody could write."""
    with _guard:
        key = path.absolute()
        held = _held.get(key)
        if held is not None:
            if not (shared and held.shared):
                raise _locked(path, _words(held.descriptor, os.getpid()))
            held.holders += 1
            return key
        descriptor = _open(path, shared=shared)
        if descriptor is None:
            return None
        try:
            _lock(path, descriptor, f"process {os.getpid()}, {purpose}", shared=shared)
        except BaseException:
            os.close(descriptor)
            raise
        _held[key] = _Held(descriptor, shared)
        return key


def _give_back(key: Path | None) -> None:
    with _guard:
        held = None if key is None else _held.get(key)
        if key is None or held is None:  # a child of the holder has nothing to give back
            return
        held.holders -= 1
        if not held.holders:
            del _held[key]
            os.close(held.descriptor)


def _open(path: Path, *, shared: bool) -> int | None:
    try:
        with system.disk_errors(path, "lock"):
            system.make_folder(path.parent)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except DiskError as error:
        cause = error.__cause__
        if not shared or getattr(cause, "errno", None) not in {
            errno.EACCES,
            errno.EPERM,
            errno.EROFS,
        }:
            raise
        with suppress(OSError):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return None


def _lock(path: Path, descriptor: int, words: str, *, shared: bool) -> None:
    """Lock an open file and sign it; a reader that is the only one removes what others signed."""
    writable = system.is_writable(descriptor)
    for attempt in range(TRIES):
        if writable and _try(path, descriptor, shared=False):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{words}\n".encode(), 0)
            if shared:
                _try(path, descriptor, shared=True)
            return
        if not shared:
            break
        if _try(path, descriptor, shared=True):
            if writable:
                os.pwrite(descriptor, f"{words}\n".encode(), os.fstat(descriptor).st_size)
            return
        if attempt < TRIES - 1:
            threading.Event().wait(PAUSE)
    raise _locked(path, _words(descriptor, system.lock_owner(descriptor)))


def _try(path: Path, descriptor: int, *, shared: bool) -> bool:
    with system.disk_errors(path, "lock", hint=REFUSED):
        return system.try_lock(descriptor, shared=shared)


def _locked(path: Path, words: str) -> LockedError:
    return LockedError(
        f"another process is using this workspace: {path.parent} ({words})", hint=HINT
    )


def _holder_of(path: Path) -> str | None:
    held = _held.get(path.absolute())
    if held is not None:
        return _words(held.descriptor, os.getpid())
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        owner = system.lock_owner(descriptor)
        return None if owner is None else _words(descriptor, owner)
    finally:
        os.close(descriptor)


def _words(descriptor: int, owner: int | None) -> str:
    """How the process `owner` signed."""
    signed = os.pread(descriptor, MAX_WORDS, 0).decode("utf-8", "replace").splitlines()
    if owner is None or owner <= 0:  # it has just ended, or is one of another container or machine
        return signed[-1] if signed else "unknown"
    found = [line for line in signed if line.partition(",")[0] == f"process {owner}"]
    return found[-1] if found else f"process {owner}"


def _forget() -> None:
    """In the child of a fork, which holds nothing."""
    for held in _held.values():
        os.close(held.descriptor)
    _held.clear()
    _guard.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_forget
    )
