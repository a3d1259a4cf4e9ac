"""The system calls behind every file that is written, and what their errors mean."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import DiskError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPORARY_SUFFIX = ".partial"


@contextmanager
def disk_errors(path: Path, action: str, size: int | None = None) -> Iterator[None]:
    """Turn an OSError inside the block into a DiskError that names path, action and bytes."""
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        amount = "" if size is None else f" {size:,} bytes"
        hint = None
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            hint = "free some space, then run the same command again: it continues"
        raise DiskError(
            f"cannot {action}{amount}: {path}: {error.strerror}", path=path, hint=hint
        ) from error


def temporary_path(path: Path) -> Path:
    """Where the bytes of `path` are while they are not all there."""
    return path.with_name(path.name + TEMPORARY_SUFFIX)


def make_folder(path: Path) -> Path:
    """Create `path` and its parents where missing and return it."""
    with disk_errors(path, "create the folder"):
        path.mkdir(parents=True, exist_ok=True)
    return path


def open_new(path: Path, more_flags: int = 0) -> int:
    """The descriptor of an empty file to write, in place of one that was there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | more_flags
    return os.open(path, flags, 0o644)


def write_all(descriptor: int, data: memoryview) -> None:
    """Write all of `data` where the last write ended."""
    while data:
        data = data[os.write(descriptor, data) :]


def sync(descriptor: int) -> None:
    """Make the bytes of an open file durable."""
    os.fsync(descriptor)


def give_name(path: Path) -> None:
    """Let the temporary file of `path` take the place of what had that name before."""
    with disk_errors(path, "rename to"):
        os.replace(temporary_path(path), path)  # noqa: PTH105 - one place for the system calls


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    with disk_errors(folder, "sync the folder"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
