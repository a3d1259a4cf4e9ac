"""Files and folders moved, replaced and deleted; how much more fits on their disk."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, TypeVar

from ghosttrack_cli.errors import GhostTrackError
from ghosttrack_cli.files.system import disk_errors, replace, sync_folder, temporary_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
PREVIOUS_SUFFIX = ".previous"
DELETED_SUFFIX = ".deleted"
"""Of what is on its way out, hidden."""


def rename(source: Path, target: Path) -> None:
    """Move a finished file or folder into place durably; an existing target file is replaced."""
    replace(source, target)
    sync_folder(target.parent)


def remove(path: Path) -> None:
    """Delete a file or a folder if it exists; a symbolic link goes, what it points to stays."""
    with disk_errors(path, "delete"):
        if path.is_symlink() or path.is_file():
            os.unlink(path)  # noqa: PTH108 - one place for the system calls
        elif path.is_dir():
            shutil.rmtree(path)


def copy_times(source: Path, target: Path) -> None:
    """Let `target` be as old as `source`."""
    with disk_errors(target, "set the time of"):
        times = source.stat()
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))


def remove_if_empty(folder: Path) -> None:
    """Delete a folder that holds nothing."""
    with disk_errors(folder, "delete"):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def replace_folder(source: Path, target: Path) -> None:
    """Put the finished folder `source` in the place of `target`; one of the two always exists.

    A process killed between the two renames leaves the old folder under the name that
    `present_folder` finds.
    """
    previous = target.with_name(target.name + PREVIOUS_SUFFIX)
    if target.exists():
        remove(previous)
        rename(target, previous)
    rename(source, target)
    remove(previous)


def present_folder(folder: Path) -> Path:
    """`folder`, or the one it was about to replace when the process was killed in between."""
    previous = folder.with_name(folder.name + PREVIOUS_SUFFIX)
    return previous if previous.is_dir() and not folder.exists() else folder


def read_folder(folder: Path, read: Callable[[Path], T]) -> T:
    """What `read` makes of the folder that stands; anew where another took its place meanwhile.

    Files of both would not fit each other, which `read` takes for damage.
    """
    while True:
        before = _which(folder)
        try:
            return read(present_folder(folder))
        except (GhostTrackError, FileNotFoundError):
            if _which(folder) == before:
                raise


def _which(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from the one that takes its place."""
    try:
        found = present_folder(folder).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def discard_folder(folder: Path) -> None:
    """Delete `folder`, which under its name is whole or gone, whatever stops this."""
    discarded = temporary_path(folder)
    remove(discarded)
    if folder.is_symlink() or folder.exists():
        rename(folder, discarded)
    remove(discarded)


def free_bytes(path: Path) -> int:
    """Bytes free for this user on the disk that holds `path` or its nearest existing parent."""
    while not path.exists() and path != path.parent:
        path = path.parent
    with disk_errors(path, "read the free space of"):
        return shutil.disk_usage(path).free


def largest_file() -> int | None:
    """Bytes that a file of this process may have, as `ulimit -f` says; None: as many as fit."""
    import resource  # which Windows lacks

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit
