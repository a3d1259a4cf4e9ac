"""The only module that writes files: whole, durable, or not at all.

A file appears under its name only when its bytes are on the disk: temporary name, fsync, rename,
fsync of the folder. A process killed anywhere in between leaves the old file and at most a
temporary one beside it, which the next writer of that name replaces.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import mmap
import os
import queue
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import CorruptionError, DiskError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from _typeshed import ReadableBuffer

MAX_JSON_BYTES = 256 * 2**20
TEMPORARY_SUFFIX = ".partial"
SYNC_THREADS = 8
BLOCK_BYTES = 4096
"""What addresses, offsets and sizes of direct writes are multiples of."""
BUFFER_BYTES = 2**21
DISK_THREADS = 2
MAX_QUEUED = 16
"""Buffers that wait for the disk."""
PREVIOUS_SUFFIX = ".previous"


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


def make_folder(path: Path) -> Path:
    """Create `path` and its parents where missing and return it."""
    with disk_errors(path, "create the folder"):
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_bytes(path: Path, *parts: ReadableBuffer, durable: bool = True) -> None:
    """Write the concatenation of `parts` to `path` atomically and, unless told, durably.

    `durable=False` is for what can be made again: after a power failure the old or no bytes may
    be there.
    """
    with _open_temporary(path, *parts) as descriptor:
        if durable:
            os.fsync(descriptor)
    with disk_errors(path, "rename to"):
        os.replace(temporary_path(path), path)  # noqa: PTH105 - one place for the system calls
    if durable:
        sync_folder(path.parent)


def temporary_path(path: Path) -> Path:
    """Where the bytes of `path` are while they are not all there."""
    return path.with_name(path.name + TEMPORARY_SUFFIX)


@contextmanager
def _open_temporary(path: Path, *parts: ReadableBuffer) -> Iterator[int]:
    with disk_errors(path, "write", sum(memoryview(part).nbytes for part in parts)):
        descriptor = _write_temporary(path, parts)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _write_temporary(path: Path, parts: tuple[ReadableBuffer, ...]) -> int:
    descriptor = _open_new(temporary_path(path))
    try:
        for part in parts:
            _write_all(descriptor, memoryview(part).cast("B"))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open_new(path: Path, more_flags: int = 0) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | more_flags
    return os.open(path, flags, 0o644)


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _make_folders(folder: Path) -> list[Path]:
    """Create `folder` where missing; it, and each folder above that got a new folder by it."""
    changed = [folder]
    while not changed[-1].is_dir():
        changed.append(changed[-1].parent)
    make_folder(folder)
    return changed


class DiskQueue:
    """Buffers on their way to the disk, past the page cache where the file system can do that.

    Copying gigabytes into the page cache costs more processor time than everything else that is
    done with them, pushes out what other programs have there, and leaves the disk idle until
    something asks for it. Here threads write, which do nothing but wait.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="disk")
        self._room = threading.Semaphore(MAX_QUEUED)
        self._spare: queue.SimpleQueue[memoryview] = queue.SimpleQueue()

    def buffer(self) -> memoryview:
        """BUFFER_BYTES of memory that begins at a page."""
        try:
            return self._spare.get_nowait()
        except queue.Empty:
            return memoryview(mmap.mmap(-1, BUFFER_BYTES))

    def give_back(self, buffer: memoryview) -> None:
        """Take a buffer that is not needed any more."""
        self._spare.put(buffer)

    def submit(self, write: Callable[[memoryview], None], buffer: memoryview) -> Future[None]:
        """Call `write(buffer)` in a thread and take the buffer back; waits while many wait."""
        self._room.acquire()
        return self._threads.submit(self._run, write, buffer)

    def _run(self, write: Callable[[memoryview], None], buffer: memoryview) -> None:
        try:
            write(buffer)
        finally:
            self.give_back(buffer)
            self._room.release()

    def close(self) -> None:
        """Wait for what was submitted, and end the threads."""
        self._threads.shutdown()


class StagedFile:
    """A file that grows under a temporary name until a `WriteBatch` makes it durable and names it.

    Until then it is not visible; what is left of one that never was is for the next writer of its
    name. Large files take a `disk` to be written by, in the background.
    """

    def __init__(self, path: Path, disk: DiskQueue | None = None) -> None:
        self.path = path
        self.bytes = 0
        self.folders = _make_folders(path.parent)
        """Folders that get a new entry by it."""
        self._disk = disk
        self._buffer: memoryview | None = None
        self._filled = 0
        self._submitted = 0
        self._writing: list[Future[None]] = []
        with disk_errors(path, "write"):
            self._descriptor = self._open()

    def _open(self) -> int:
        path = temporary_path(self.path)
        if self._disk is not None and hasattr(os, "O_DIRECT"):
            try:
                return _open_new(path, os.O_DIRECT)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
        return _open_new(path)

    def write(self, *parts: ReadableBuffer) -> None:
        """Append the concatenation of `parts`."""
        size = sum(memoryview(part).nbytes for part in parts)
        with disk_errors(self.path, "write", size):
            for part in parts:
                data = memoryview(part).cast("B")
                if self._disk is None:
                    _write_all(self._descriptor, data)
                else:
                    self._fill(self._disk, data)
        self.bytes += size

    def _fill(self, disk: DiskQueue, data: memoryview) -> None:
        while data:
            if self._buffer is None:
                self._buffer, self._filled = disk.buffer(), 0
            taken = min(len(data), len(self._buffer) - self._filled)
            self._buffer[self._filled : self._filled + taken] = data[:taken]
            self._filled, data = self._filled + taken, data[taken:]
            if self._filled == len(self._buffer):
                self._submit(disk, self._buffer)

    def _submit(self, disk: DiskQueue, buffer: memoryview) -> None:
        write = partial(self._write_at, self._submitted, self._filled)
        self._submitted += self._filled
        self._buffer = None
        self._writing.append(disk.submit(write, buffer))

    def _write_at(self, offset: int, size: int, buffer: memoryview) -> None:
        data = buffer[:size]
        with disk_errors(self.path, "write", size):
            if size % BLOCK_BYTES:
                self._leave_direct()
            while data:
                try:
                    written = os.pwrite(self._descriptor, data, offset)
                except OSError as error:
                    # Some file systems take the flag and refuse the write.
                    if error.errno != errno.EINVAL or not self._leave_direct():
                        raise
                else:
                    data, offset = data[written:], offset + written

    def _leave_direct(self) -> bool:
        """Write through the page cache from here on; whether that is new."""
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        direct = flags & getattr(os, "O_DIRECT", 0)
        fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags & ~direct)
        return bool(direct)

    def start_writing_back(self) -> None:
        """Nothing more comes: let the disk begin with what it does not have yet.

        The disk works while the next file is made, and the fsync of several files then costs
        little more than that of one.
        """
        if self._disk is not None and self._buffer is not None:
            self._submit(self._disk, self._buffer)
        elif self._disk is None and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        """Make its bytes durable."""
        for write in self._writing:
            write.result()
        with disk_errors(self.path, "write"):
            os.fsync(self._descriptor)

    def give_name(self) -> None:
        """Let it take the place of what had its name before."""
        with disk_errors(self.path, "rename to"):
            os.replace(temporary_path(self.path), self.path)  # noqa: PTH105 - see write_bytes

    def close(self) -> None:
        """Write nothing more; a second time does nothing."""
        if self._descriptor < 0:
            return
        wait(self._writing)
        if self._disk is not None and self._buffer is not None:
            self._disk.give_back(self._buffer)
        self._buffer = None
        os.close(self._descriptor)
        self._descriptor = -1


class WriteBatch:
    """Files that become durable together, which costs far less than one after the other."""

    def __init__(self) -> None:
        self.bytes = 0
        self._files: list[StagedFile] = []

    def __len__(self) -> int:
        return len(self._files)

    def add(self, file: StagedFile) -> None:
        """Take a file that has all its bytes."""
        self._files.append(file)
        self.bytes += file.bytes
        file.start_writing_back()

    def finish(self) -> None:
        """Make every added file durable under its name, in the order of the calls; begin anew."""
        # A file system that is asked for several at once commits its journal once for all.
        with ThreadPoolExecutor(SYNC_THREADS) as pool:
            list(pool.map(StagedFile.sync, self._files))
            for file in self._files:
                file.give_name()
            folders = dict.fromkeys(folder for file in self._files for folder in file.folders)
            list(pool.map(sync_folder, folders))
        self.discard()

    def discard(self) -> None:
        """Forget what was added; temporary files stay for the next writer of their names."""
        for file in self._files:
            file.close()
        self.bytes = 0
        self._files = []


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    with disk_errors(folder, "sync the folder"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; lone surrogates become their escapes, so that any text can be kept."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, document: Any) -> None:
    """Write `document` as indented JSON with sorted keys; NaN and infinity are refused."""
    write_text(path, json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_bytes(path: Path, *, limit: int) -> bytes:
    """Read a whole file of at most `limit` bytes.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: it is larger than `limit`.
        DiskError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            # Python allocates what is asked for: never more than the file has.
            data = file.read(min(limit, os.fstat(file.fileno()).st_size) + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DiskError(f"cannot read: {path}: {error.strerror}", path=path) from error
    if len(data) > limit:
        raise CorruptionError(f"file too large: {path} has more than {limit:,} bytes")
    return data


def read_json(path: Path, *, limit: int = MAX_JSON_BYTES) -> Any:
    """Read a JSON document; a file that is not JSON is a CorruptionError that names it."""
    data = read_bytes(path, limit=limit)
    try:
        return json.loads(data)
    except ValueError as error:
        raise CorruptionError(f"not valid JSON: {path}: {error}") from error


def append_line(path: Path, line: str) -> None:
    """Append one line in a single write; for logs, where a torn last line may be lost."""
    with disk_errors(path, "append to"):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            _write_all(descriptor, memoryview(f"{line}\n".encode("utf-8", "backslashreplace")))
        finally:
            os.close(descriptor)


def sha256_file(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with disk_errors(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rename(source: Path, target: Path) -> None:
    """Move a finished file or folder into place durably; an existing target file is replaced."""
    with disk_errors(target, "rename to"):
        os.replace(source, target)  # noqa: PTH105 - one place for the system calls
    sync_folder(target.parent)


def remove(path: Path) -> None:
    """Delete a file or a folder if it exists; a symbolic link goes, what it points to stays."""
    with disk_errors(path, "delete"):
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)


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


def free_bytes(path: Path) -> int:
    """Bytes free for this user on the disk that holds `path` or its nearest existing parent."""
    while not path.exists() and path != path.parent:
        path = path.parent
    with disk_errors(path, "look at the free space of"):
        return shutil.disk_usage(path).free
