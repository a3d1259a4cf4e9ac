"""One chunk as the bytes of its file, and back.

A chunk file is the rows, little-endian, padded with zeros to a full chunk, optionally compressed,
then four bytes of crc32c: what the Zarr codecs `bytes`, `blosc` and `crc32c` give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.format.dtypes import numpy_dtype

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.store.format.dtypes import Array
    from ghosttrack_cli.store.format.identity import Compression, StoreIdentity

CRC_BYTES = 4
BLOSC_HEADER = 16


@dataclass(frozen=True)
class ChunkSpec:
    """The shape and coding of all chunks of one array."""

    array: str
    rows: int
    shape: tuple[int, ...]
    """Shape of one row: () or (D,)."""
    dtype: np.dtype[np.generic]
    compress: Compression = "none"

    @classmethod
    def of(cls, identity: StoreIdentity, array: str) -> ChunkSpec:
        """The specification of an array of a store with this identity."""
        if array in layout.ROW_ARRAYS:
            return cls(array, identity.chunk_rows, (), numpy_dtype(layout.ROW_ARRAYS[array]))
        shape, dtype = (identity.d_model,), numpy_dtype(identity.dtype)
        return cls(array, identity.chunk_rows, shape, dtype, identity.compress)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    @property
    def bytes(self) -> int:
        """Bytes of a full chunk before compression."""
        return self.rows * self.row_bytes

    def empty(self, rows: int | None = None) -> Array:
        """An uninitialised array of `rows` rows, or of a full chunk."""
        return np.empty((self.rows if rows is None else rows, *self.shape), self.dtype)


def raw(rows: Array) -> Array:
    """The bytes of contiguous rows, uint8, without a copy."""
    return rows.reshape(-1).view(np.uint8)


def checksum(rows: Array) -> int:
    """The crc32c of the rows' little-endian bytes: what a commit keeps."""
    return extend(0, raw(rows))


def extend(crc: int, data: Array | bytes) -> int:
    """The crc32c of some bytes and `data` after them, from that of the first."""
    return int(google_crc32c.extend(crc, data))


def crc_bytes(crc: int) -> bytes:
    """A checksum as it ends a chunk file."""
    return crc.to_bytes(CRC_BYTES, "little")


def read(store: Path, spec: ChunkSpec, index: int, crc: int, out: Array) -> None:
    """Fill `out` with the first `len(out)` rows of a chunk, whose crc32c must be `crc`.

    Raises:
        CorruptionError: the file is missing, has another size, or other bytes; names array and
            chunk.
        DiskError: the operating system could not read it.
    """
    fault = find_fault(store, spec, index, crc, out)
    if fault is not None:
        path = layout.chunk_path(store, spec.array, index)
        raise CorruptionError(
            f"bad chunk: {spec.array}, chunk {index}: {fault}: {path}",
            hint="ghosttrack extract --repair",
        )


def find_fault(store: Path, spec: ChunkSpec, index: int, crc: int, out: Array) -> str | None:
    """Read a chunk as `read` does, and say what is wrong with its file; None if nothing is."""
    path = layout.chunk_path(store, spec.array, index)
    try:
        with files.opened(path) as file:
            if spec.compress == "none":
                _read_plain(file, spec, crc, out)
            else:
                _read_squeezed(file, spec, crc, out)
    except FileNotFoundError:
        return "the file is missing"
    except EOFError:
        return "the file ends early"
    except _BadFileError as bad:
        return str(bad)
    return None


class _BadFileError(Exception):
    """What is wrong with a chunk file."""


def _read_plain(file: files.OpenedFile, spec: ChunkSpec, crc: int, out: Array) -> None:
    size = file.size
    if size != spec.bytes + CRC_BYTES:
        raise _BadFileError(f"{size:,} bytes instead of {spec.bytes + CRC_BYTES:,}")
    padding = np.empty(spec.bytes - out.nbytes, np.uint8)
    stored = np.empty(CRC_BYTES, np.uint8)
    file.fill(raw(out).data, padding.data, stored.data)
    found = checksum(out)
    _check_crc(found, crc)
    _check_own(extend(found, padding), stored)


def _read_squeezed(file: files.OpenedFile, spec: ChunkSpec, crc: int, out: Array) -> None:
    from numcodecs.blosc import decompress

    size = file.size
    if not BLOSC_HEADER + CRC_BYTES <= size <= spec.bytes + BLOSC_HEADER + CRC_BYTES:
        raise _BadFileError(f"{size:,} bytes, not the size of a chunk")
    body, stored = np.empty(size - CRC_BYTES, np.uint8), np.empty(CRC_BYTES, np.uint8)
    file.fill(body.data, stored.data)
    _check_own(extend(0, body), stored)
    if int.from_bytes(body[4:8], "little") != spec.bytes:
        raise _BadFileError("its header gives a different size")
    chunk = spec.empty()
    decompress(body, raw(chunk))
    out[:] = chunk[: len(out)]
    _check_crc(checksum(out), crc)


def _check_crc(found: int, crc: int) -> None:
    if found != crc:
        raise _BadFileError("its rows differ from the committed ones")


def _check_own(found: int, stored: Array) -> None:
    if stored.tobytes() != crc_bytes(found):
        raise _BadFileError("its own checksum does not match")
