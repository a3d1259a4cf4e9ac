"""A chunk on its way to the disk: rows come in order, and its checksum grows with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ghosttrack_cli.files import DiskQueue, StagedFile
from ghosttrack_cli.store.format import chunks, layout

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.store.format.chunks import ChunkSpec
    from ghosttrack_cli.store.format.dtypes import Array


class GrowingChunk(Protocol):
    """Takes rows of one chunk until it is finished, or given up."""

    def write(self, rows: Array) -> None:
        """Take the contiguous rows that come next; they are not needed afterwards."""

    def finish(self) -> tuple[StagedFile, int]:
        """The whole file, padded with zeros, and the crc32c of the rows alone."""

    def give_up(self) -> None:
        """Write nothing more."""


def start_chunk(store: Path, spec: ChunkSpec, index: int, disk: DiskQueue | None) -> GrowingChunk:
    """An empty chunk of an array of the store in the folder `store`."""
    path = layout.chunk_path(store, spec.array, index)
    return (PlainChunk if spec.compress == "none" else SqueezedChunk)(path, spec, disk)


class PlainChunk:
    """Rows go into the file as they come, so that nothing of them stays in memory."""

    def __init__(self, path: Path, spec: ChunkSpec, disk: DiskQueue | None) -> None:
        self._spec = spec
        self._file = StagedFile(path, disk)
        self._crc = 0

    def write(self, rows: Array) -> None:
        """Take the contiguous rows that come next."""
        data = chunks.raw(rows)
        self._file.write(data.data)
        self._crc = chunks.extend(self._crc, data)

    def finish(self) -> tuple[StagedFile, int]:
        """The whole file, and the crc32c of the rows alone."""
        padding = bytes(self._spec.bytes - self._file.bytes)
        self._file.write(padding, chunks.crc_bytes(chunks.extend(self._crc, padding)))
        return self._file, self._crc

    def give_up(self) -> None:
        """Write nothing more."""
        self._file.close()


class SqueezedChunk:
    """Rows are kept, because a chunk is compressed as one."""

    def __init__(self, path: Path, spec: ChunkSpec, disk: DiskQueue | None) -> None:
        self._path, self._spec, self._disk = path, spec, disk
        self._chunk = spec.empty()
        self._rows = 0

    def write(self, rows: Array) -> None:
        """Take the contiguous rows that come next."""
        self._chunk[self._rows : self._rows + len(rows)] = rows
        self._rows += len(rows)

    def finish(self) -> tuple[StagedFile, int]:
        """The whole file, and the crc32c of the rows alone. Not to be called in the main thread."""
        self._chunk[self._rows :] = 0
        body = _squeeze(self._spec, self._chunk)
        file = StagedFile(self._path, self._disk)
        file.write(body, chunks.crc_bytes(chunks.extend(0, body)))
        return file, chunks.checksum(self._chunk[: self._rows])

    def give_up(self) -> None:
        """Nothing was written yet."""


def _squeeze(spec: ChunkSpec, chunk: Array) -> bytes:
    from numcodecs.blosc import BITSHUFFLE, compress

    # Blosc writes its blocks in the order in which threads finish; outside the main thread
    # numcodecs compresses with one, so that the bytes are always the same.
    name, level = spec.compress.encode(), layout.COMPRESSION_LEVEL
    data = chunks.raw(chunk)
    squeezed: bytes = compress(data, name, level, BITSHUFFLE, typesize=spec.dtype.itemsize)
    return squeezed
