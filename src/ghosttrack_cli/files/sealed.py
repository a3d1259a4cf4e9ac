"""JSON documents that carry their own checksum: the one way to keep small JSON.

The first line holds the SHA-256 of every byte after it, and the whole file is one JSON object, so
that any JSON reader opens it and any language can check it.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.files.documents import MAX_JSON_BYTES, parse_json
from ghosttrack_cli.files.whole import read_bytes, write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CHECKSUM = "checksum"
_FIRST_LINE = re.compile(rb'\{"checksum": "([0-9a-f]{64})",')


def seal(document: Mapping[str, Any], *, indent: int | None = None) -> tuple[bytes, str]:
    """The file's bytes for `document`, which is not empty, and the checksum in its first line."""
    assert document
    assert CHECKSUM not in document
    return seal_text(json.dumps(document, indent=indent, sort_keys=True, allow_nan=False))


def seal_text(text: str) -> tuple[bytes, str]:
    """`seal` of an object that is JSON already: `text` begins with its brace."""
    body = text.removeprefix("{").removeprefix("\n").encode() + b"\n"
    checksum = hashlib.sha256(body).hexdigest()
    return f'{{"{CHECKSUM}": "{checksum}",\n'.encode() + body, checksum


def open_sealed(path: Path, *, limit: int = MAX_JSON_BYTES) -> tuple[dict[str, Any], str]:
    """Read and check a sealed file: its document without the checksum, and the checksum.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: too large, not sealed, or not the bytes that were sealed.
    """
    text, checksum = sealed_text(path, limit=limit)
    document: dict[str, Any] = parse_json(text, path)
    return document, checksum


def sealed_text(path: Path, *, limit: int = MAX_JSON_BYTES) -> tuple[bytes, str]:
    """`open_sealed` without reading the JSON: its bytes without the checksum, and the checksum.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: too large, not sealed, or not the bytes that were sealed.
    """
    return unseal(read_bytes(path, limit=limit), path)


def unseal(data: bytes, path: Path) -> tuple[bytes, str]:
    """`sealed_text` of `data`, the bytes of `path`."""
    first, _, body = data.partition(b"\n")
    match = _FIRST_LINE.fullmatch(first)
    if match is None or hashlib.sha256(body).hexdigest() != match[1].decode():
        raise CorruptionError(f"damaged: {path}: checksum does not match")
    return b"{" + body, match[1].decode()


def write_sealed(path: Path, document: Mapping[str, Any]) -> None:
    """Write `document` indented, for people too, with its checksum in the first line."""
    write_bytes(path, seal(document, indent=1)[0])


def read_sealed(path: Path, *, limit: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The document of a sealed file, as it was written; raises as `open_sealed` does."""
    return open_sealed(path, limit=limit)[0]
