"""A file opened to be read into memory that is there already."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import DiskError
from ghosttrack_cli.files import system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class OpenedFile:
    """Its size, and what it holds from where the last reading ended."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def size(self) -> int:
        """Its bytes."""
        return system.size_of(self._descriptor)

    def fill(self, *parts: memoryview) -> None:
        """Read into all of `parts`, one after the other.

        Raises:
            EOFError: it ends before.
        """
        left = [part for part in parts if part.nbytes]
        while left:
            count = system.read_into(self._descriptor, left)
            if not count:
                raise EOFError
            while left and count >= left[0].nbytes:
                count -= left.pop(0).nbytes
            if left:
                left[0] = left[0][count:]

    def read(self, most: int) -> bytes:
        """The next `most` bytes; fewer where it ends."""
        data = memoryview(bytearray(most))
        done = 0
        while done < most and (count := system.read_into(self._descriptor, [data[done:]])):
            done += count
        return bytes(data[:done])


@contextmanager
def opened(path: Path) -> Iterator[OpenedFile]:
    """A file for as long as the block.

    Raises:
        FileNotFoundError: there is no such file.
        DiskError: it cannot be opened, or read in the block.
    """
    try:
        with system.disk_errors(path, "read"):
            descriptor = system.open_to_read(path)
    except DiskError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None
        raise
    try:
        with system.disk_errors(path, "read"):
            yield OpenedFile(descriptor)
    finally:
        system.close(descriptor)
