"""Tensors on disk: safetensors whose SHA-256 is kept beside, bounded before anything is allocated.

safetensors checks its header against the file's length but does not notice a flipped bit, so every
reader here compares the SHA-256 that the writer recorded.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, DiskError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from _typeshed import ReadableBuffer

MAX_TENSOR_BYTES = 2**38
MAX_HEADER_BYTES = 2**20
_DTYPES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.uint16: "U16",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.uint32: "U32",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.uint64: "U64",
}
_ORDER = list(_DTYPES)
"""The last one comes first in a file, so that every tensor begins at a multiple of its size."""
PICKLES = (b"\x80", b"PK\x03\x04")
"""How they begin, by themselves or zipped by torch."""
STARTING_BYTES = 9
"""The length of a header, and the brace with which it begins."""


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    """Write named tensors durably and return the SHA-256 of the file."""
    names = sorted(tensors, key=lambda name: (-_ORDER.index(tensors[name].dtype), name))
    header = _header({name: tensors[name] for name in names})
    digest = hashlib.sha256()

    def parts() -> Iterator[ReadableBuffer]:
        digest.update(header)
        yield header
        for name in names:
            data = _bytes(tensors[name])
            digest.update(data)
            yield data

    size = len(header) + sum(tensor.nbytes for tensor in tensors.values())
    files.write_parts(path, parts(), size)
    return digest.hexdigest()


def _header(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """What a safetensors file begins with: eight bytes of length, then JSON up to a multiple of 8.

    Written here and not by safetensors, which makes two copies of everything in memory.
    """
    entries, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        entries[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bytes(tensor: torch.Tensor) -> memoryview:
    """The elements of one tensor, row by row."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    # A single element may come with any stride, which a view of other element size refuses.
    flat = flat.as_strided((flat.numel(),), (1,))
    data: Any = flat.view(torch.uint8).numpy()
    return memoryview(data)


def read_tensors(
    path: Path, *, sha256: str | None = None, limit: int = MAX_TENSOR_BYTES
) -> dict[str, torch.Tensor]:
    """Read all tensors of a file of at most `limit` bytes; nothing in it is ever executed.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: not safetensors (a pickle for instance), too large, or other bytes than
            those whose `sha256` was recorded.
    """
    _check_start(path)
    data = files.read_bytes(path, limit=limit)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise CorruptionError(f"checksum does not match: {path} is not what was written")
    try:
        return safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise CorruptionError(f"not a safetensors file: {path}: {error}") from error


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a file, from its header alone.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: not safetensors.
    """
    shapes = {}
    for name, entry in _check_start(path).items():
        shape = entry.get("shape") if isinstance(entry, dict) else None
        if isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape):
            shapes[name] = tuple(shape)
    return shapes


def is_pickle(start: bytes) -> bool:
    """Whether a file with these `STARTING_BYTES` is a pickle, which can run code.

    The length of a safetensors header may have the same bytes, but its header begins with a brace.
    """
    return start.startswith(PICKLES) and start[8:] != b"{"


def _check_start(path: Path) -> dict[str, Any]:
    """The header; what has none is refused by its first bytes, before the rest is read."""
    try:
        with files.disk_errors(path, "read"), path.open("rb") as file:
            start = file.read(STARTING_BYTES)
            length = int.from_bytes(start[:8], "little")
            whole = 2 <= length <= MAX_HEADER_BYTES
            header = start[8:] + file.read(length - 1) if whole else b""
    except DiskError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None
        raise
    if is_pickle(start):
        raise CorruptionError(f"a pickle, not a safetensors file, and was not opened: {path}")
    try:
        entries = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise CorruptionError(f"not a safetensors file: {path}") from error
    if not isinstance(entries, dict):
        raise CorruptionError(f"not a safetensors file: {path}")
    return entries
