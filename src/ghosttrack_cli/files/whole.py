"""Files that are small enough to be written and read as a whole."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.files import system
from ghosttrack_cli.files.opened import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from _typeshed import ReadableBuffer


def write_bytes(path: Path, *parts: ReadableBuffer, durable: bool = True) -> None:
    """Write the concatenation of `parts` to `path` atomically and, unless told, durably.

    `durable=False` is for what can be made again: after a power failure the old or no bytes may
    be there.
    """
    size = sum(memoryview(part).nbytes for part in parts)
    write_parts(path, parts, size, durable=durable)


def write_parts(
    path: Path, parts: Iterable[ReadableBuffer], size: int, *, durable: bool = True
) -> None:
    """`write_bytes` of `size` bytes that are made one part after the other, as they are written."""
    with _open_temporary(path, parts, size) as descriptor:
        if durable:
            system.sync(descriptor)
    system.give_name(path)
    if durable:
        system.sync_folder(path.parent)


@contextmanager
def _open_temporary(path: Path, parts: Iterable[ReadableBuffer], size: int) -> Iterator[int]:
    with system.disk_errors(path, "write", size):
        descriptor = _write_temporary(path, parts)
        try:
            yield descriptor
        finally:
            system.close(descriptor)


def _write_temporary(path: Path, parts: Iterable[ReadableBuffer]) -> int:
    descriptor = system.open_new(system.temporary_path(path))
    try:
        for part in parts:
            system.write_all(descriptor, memoryview(part).cast("B"))
    except BaseException:
        system.close(descriptor)
        raise
    return descriptor


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; lone surrogates become their escapes, so that any text can be kept."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def read_bytes(path: Path, *, limit: int) -> bytes:
    """Read a whole file of at most `limit` bytes.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: it is larger than `limit`.
        DiskError: it cannot be read.
    """
    with opened(path) as file:
        # What is asked for is allocated: never more than the file has.
        data = file.read(min(limit, file.size) + 1)
    if len(data) > limit:
        raise CorruptionError(f"file too large: {path} has more than {limit:,} bytes")
    return data


def append_line(path: Path, line: str, *, limit: int | None = None) -> None:
    """Append one line in a single write; for logs, where a torn last line may be lost.

    A file that has `limit` bytes makes room: it becomes `NAME.1`, which it replaces.
    """
    _make_room(path, limit)
    with system.disk_errors(path, "append to"):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            system.write_all(
                descriptor, memoryview(f"{line}\n".encode("utf-8", "backslashreplace"))
            )
        finally:
            os.close(descriptor)


def _make_room(path: Path, limit: int | None) -> None:
    with system.disk_errors(path, "append to"):
        full = limit is not None and path.is_file() and path.stat().st_size >= limit
        if full:
            system.replace(path, path.with_name(f"{path.name}.1"))


def sha256_file(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with system.disk_errors(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
