"""The system calls behind every file that is written, and what their errors mean."""

from __future__ import annotations

import errno
import os
import struct
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import DiskError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where cli/app.py says what is supported
    if not TYPE_CHECKING:
        fcntl = None

TEMPORARY_SUFFIX = ".partial"
FLOCK = "@qqihh" if sys.platform == "darwin" else "@hhqqi0q"
"""`struct flock` of <fcntl.h>."""


@contextmanager
def disk_errors(
    path: Path, action: str, size: int | None = None, hint: str | None = None
) -> Iterator[None]:
    """Turn an OSError inside the block into a DiskError that names path, action and bytes."""
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        amount = "" if size is None else f" {size:,} bytes"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            hint = "free some space, then run the same command again to resume"
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


def is_there(path: Path) -> bool:
    """Whether a file or folder has this name, or a link does, wherever it points."""
    return path.is_symlink() or path.exists()


def is_folder(path: Path) -> bool:
    """Whether there is a folder of this name."""
    return path.is_dir()


def is_file(path: Path) -> bool:
    """Whether there is a file of this name."""
    return path.is_file()


def entries(folder: Path) -> list[Path]:
    """What lies in `folder`, in no order."""
    with disk_errors(folder, "list"):
        return list(folder.iterdir())


def open_to_read(path: Path) -> int:
    """The descriptor of a file to read."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def size_of(descriptor: int) -> int:
    """Bytes of an open file."""
    return os.fstat(descriptor).st_size


def read_into(descriptor: int, parts: list[memoryview]) -> int:
    """Read where the last reading ended, into one part after the other; how many bytes came."""
    return os.readv(descriptor, parts)


def open_new(path: Path, more_flags: int = 0) -> int:
    """The descriptor of an empty file to write, in place of one that was there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | more_flags
    return os.open(path, flags, 0o644)


def open_direct(path: Path) -> int:
    """`open_new`, past the page cache where the file system can do that."""
    if hasattr(os, "O_DIRECT"):
        try:
            return open_new(path, os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    return open_new(path)


def write_all(descriptor: int, data: memoryview) -> None:
    """Write all of `data` where the last write ended."""
    while data:
        data = data[os.write(descriptor, data) :]


def write_at(descriptor: int, data: memoryview, offset: int) -> int:
    """Write some of `data` at a place; how many bytes of it."""
    return os.pwrite(descriptor, data, offset)


def start_writing_back(descriptor: int) -> None:
    """Let the disk begin with what it does not have yet."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def close(descriptor: int) -> None:
    """Give an open file back."""
    os.close(descriptor)


def sync(descriptor: int) -> None:
    """Make the bytes of an open file durable."""
    os.fsync(descriptor)


def give_name(path: Path) -> None:
    """Let the temporary file of `path` take the place of what had that name before."""
    replace(temporary_path(path), path)


def replace(source: Path, target: Path) -> None:
    """Let `source` take the name of `target` in one step, in place of a file that has it."""
    with disk_errors(target, "rename to"):
        os.replace(source, target)  # noqa: PTH105 - one place for the system calls


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    with disk_errors(folder, "sync the folder"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def leave_direct(descriptor: int) -> bool:
    """Write through the page cache from here on; whether that is new."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    direct = flags & getattr(os, "O_DIRECT", 0)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~direct)
    return bool(direct)


def is_writable(descriptor: int) -> bool:
    """Whether an open file may be written to."""
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR


def try_lock(descriptor: int, *, shared: bool) -> bool:
    """Put a record lock of this process on an open file; whether nobody else's stands against."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            return False
        raise
    return True


def lock_owner(descriptor: int) -> int | None:
    """A process whose record lock is on an open file, this one left out; None if there is none."""
    if sys.platform == "darwin":
        asked = struct.pack(FLOCK, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
        _, _, owner, kind, _ = struct.unpack(FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    else:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, owner = struct.unpack(FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(owner)
