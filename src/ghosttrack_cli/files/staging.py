"""Large files: written in the background, and made durable many at a time."""

from __future__ import annotations

import errno
import mmap
import queue
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING

from ghosttrack_cli.files import system
from ghosttrack_cli.files.places import remove

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from _typeshed import ReadableBuffer

SYNC_THREADS = 8
BLOCK_BYTES = 4096
"""What addresses, offsets and sizes of direct writes are multiples of."""
BUFFER_BYTES = 2**21
DISK_THREADS = 2
MAX_QUEUED = 16
"""Buffers that wait for the disk."""


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
        self.folders = make_folders(path.parent)
        """Folders that get a new entry by it."""
        self._disk = disk
        self._buffer: memoryview | None = None
        self._filled = 0
        self._submitted = 0
        self._writing: list[Future[None]] = []
        with system.disk_errors(path, "write"):
            self._descriptor = self._open()

    def _open(self) -> int:
        open_it = system.open_new if self._disk is None else system.open_direct
        return open_it(system.temporary_path(self.path))

    def write(self, *parts: ReadableBuffer) -> None:
        """Append the concatenation of `parts`."""
        size = sum(memoryview(part).nbytes for part in parts)
        with system.disk_errors(self.path, "write", size):
            for part in parts:
                data = memoryview(part).cast("B")
                if self._disk is None:
                    system.write_all(self._descriptor, data)
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
        with system.disk_errors(self.path, "write", size):
            if size % BLOCK_BYTES:
                system.leave_direct(self._descriptor)
            while data:
                try:
                    written = system.write_at(self._descriptor, data, offset)
                except OSError as error:
                    # Some file systems take the flag and refuse the write.
                    if error.errno != errno.EINVAL or not system.leave_direct(self._descriptor):
                        raise
                else:
                    data, offset = data[written:], offset + written

    def start_writing_back(self) -> None:
        """Nothing more comes: let the disk begin with what it does not have yet.

        The disk works while the next file is made, and the fsync of several files then costs
        little more than that of one.
        """
        if self._disk is not None and self._buffer is not None:
            self._submit(self._disk, self._buffer)
        elif self._disk is None:
            system.start_writing_back(self._descriptor)

    def sync(self) -> None:
        """Make its bytes durable."""
        for write in self._writing:
            write.result()
        with system.disk_errors(self.path, "write"):
            system.sync(self._descriptor)

    def give_name(self) -> None:
        """Let it take the place of what had its name before."""
        system.give_name(self.path)

    def close(self) -> None:
        """Write nothing more; a second time does nothing."""
        if self._descriptor < 0:
            return
        wait(self._writing)
        if self._disk is not None and self._buffer is not None:
            self._disk.give_back(self._buffer)
        self._buffer = None
        system.close(self._descriptor)
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

    def finish(self, outdated: Path | None = None) -> None:
        """Make every added file durable under its name, in the order of the calls; begin anew.

        `outdated` goes once all have their bytes, before the first takes its name.
        """
        # A file system that is asked for several at once commits its journal once for all.
        with ThreadPoolExecutor(SYNC_THREADS) as pool:
            list(pool.map(StagedFile.sync, self._files))
            if outdated is not None:
                remove(outdated)
            for file in self._files:
                file.give_name()
            folders = dict.fromkeys(folder for file in self._files for folder in file.folders)
            list(pool.map(system.sync_folder, folders))
        self.discard()

    def discard(self) -> None:
        """Forget what was added; temporary files stay for the next writer of their names."""
        for file in self._files:
            file.close()
        self.bytes = 0
        self._files = []


def write_together(contents: Mapping[Path, ReadableBuffer]) -> None:
    """Write files that belong together; none takes its name before all have their bytes.

    The last is what says that the others are there: the earlier one goes before any takes its
    name, so that nobody finds files of two times together.
    """
    batch = WriteBatch()
    try:
        for path, data in contents.items():
            file = StagedFile(path)
            batch.add(file)
            file.write(data)
        batch.finish(outdated=list(contents)[-1])
    finally:
        batch.discard()


def make_folders(folder: Path) -> list[Path]:
    """Create `folder` where missing; it, and each folder above that got a new folder by it."""
    changed = [folder]
    while not system.is_folder(changed[-1]):
        changed.append(changed[-1].parent)
    system.make_folder(folder)
    return changed
