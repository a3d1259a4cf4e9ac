"""JSON objects as files: written in one way, and read so that nothing in them can harm."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.files.whole import read_bytes, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_JSON_BYTES = 256 * 2**20
MAX_DIGITS = 39
"""Digits of the largest whole number, one of 128 bits."""


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write `document` as `json_text` has it."""
    write_text(path, json_text(document))


def json_text(document: Mapping[str, Any]) -> str:
    """Indented JSON with sorted keys; NaN and infinity are refused."""
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"


def read_json(path: Path, *, limit: int = MAX_JSON_BYTES, foreign: bool = False) -> dict[str, Any]:
    """Read a JSON object of at most `limit` bytes; see `parse_json`.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: it is too large, or not such an object.
        DiskError: it cannot be read.
    """
    return parse_json(read_bytes(path, limit=limit), path, foreign=foreign)


def parse_json(data: bytes, path: Path, *, foreign: bool = False) -> dict[str, Any]:
    """The JSON object in `data`, the bytes of `path`.

    Ours are UTF-8, have each key once and finite numbers of a sane length. `foreign` ones are of
    other programs, some of which write NaN, Infinity and keys twice.

    Raises:
        CorruptionError: anything else, however deep it is nested; names the file.
    """
    hooks: dict[str, Any] = {} if foreign else _STRICT
    try:
        document = json.loads(data.decode(), **hooks)
    except RecursionError:
        raise CorruptionError(f"damaged: {path}: nested too deeply") from None
    except ValueError as error:
        raise CorruptionError(f"damaged: {path}: not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise CorruptionError(f"damaged: {path}: not a JSON object")
    return document


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key appears twice")
    return document


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number out of range: {text[:50]}")
    return value


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"number out of range: {text[:50]}")
    return int(text)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


_STRICT: dict[str, Any] = {
    "object_pairs_hook": _each_once,
    "parse_float": _finite,
    "parse_int": _whole,
    "parse_constant": _refuse,
}
