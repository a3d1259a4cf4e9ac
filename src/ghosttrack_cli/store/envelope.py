"""JSON documents that carry their own checksum.

The first line holds the SHA-256 of every byte after it, and the whole file is one JSON object, so
that any JSON reader opens it and any language can check it.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError

if TYPE_CHECKING:
    from pathlib import Path

_FIRST_LINE = re.compile(rb'\{"checksum": "([0-9a-f]{64})",')


def seal(document: dict[str, Any]) -> tuple[bytes, str]:
    """The file's bytes for `document`, and the checksum in its first line."""
    text = json.dumps(document, indent=None, sort_keys=True, allow_nan=False)
    body = text.removeprefix("{").encode() + b"\n"
    checksum = hashlib.sha256(body).hexdigest()
    return f'{{"checksum": "{checksum}",\n'.encode() + body, checksum


def open_sealed(path: Path, *, limit: int) -> tuple[dict[str, Any], str]:
    """Read and check a sealed file: its document without the checksum, and the checksum.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: too large, not sealed, or not the bytes that were sealed.
    """
    first, _, body = files.read_bytes(path, limit=limit).partition(b"\n")
    match = _FIRST_LINE.fullmatch(first)
    if match is None or hashlib.sha256(body).hexdigest() != match[1].decode():
        raise CorruptionError(f"checksum does not match: {path}")
    document: dict[str, Any] = json.loads(b"{" + body)
    return document, match[1].decode()
