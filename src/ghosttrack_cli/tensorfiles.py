"""Tensors on disk: safetensors whose SHA-256 is kept beside, bounded before anything is allocated.

safetensors checks its header against the file's length but does not notice a flipped bit, so every
reader here compares the SHA-256 that the writer recorded.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import safetensors
import safetensors.torch

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, DiskError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

MAX_TENSOR_BYTES = 2**38
MAX_HEADER_BYTES = 2**20
PICKLE_STARTS = (b"\x80", b"PK\x03\x04")


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    """Write named tensors durably and return the SHA-256 of the file."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = safetensors.torch.save(on_cpu)
    files.write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


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
        raise CorruptionError(f"checksum differs: {path} is not what was written")
    try:
        return safetensors.torch.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise CorruptionError(f"not a safetensors file: {path}: {error}") from error


def _check_start(path: Path) -> None:
    """Refuse by the first bytes, before the rest is read."""
    try:
        with files.disk_errors(path, "read"), path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            header = file.read(length) if 2 <= length <= MAX_HEADER_BYTES else b""
    except DiskError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None
        raise
    if start.startswith(PICKLE_STARTS) and not header.startswith(b"{"):
        raise CorruptionError(f"a pickle, not a safetensors file, and never opened: {path}")
    try:
        json.loads(header)
    except ValueError as error:
        raise CorruptionError(f"not a safetensors file: {path}") from error
