"""Valid files made invalid: bytes that change anywhere, and documents that are sealed anew."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

TOKENS = (
    b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"-Infinity", b"99999999999999999999999",
    b"9" * 5000, b"{}", b"[]", b'""', b"[" * 3000, b'{"a":' * 3000, b'"\\ud800"', b"\\u0000",
    b"\xff\xfe", b"\xef\xbb\xbf", b"\x00" * 9, b"\x1b[2J", b"../../x", b"\r\n", b'","', b"\x80\x04",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**200, -(2**64), 0.5, 1e308, "", "x", "x" * 3000,
    "../../x", "\x1b[2J", "\x00", "é", "9" * 30, [], [[]], {}, {"a": None}, [0] * 50,
    "00000000", "g" * 64,
)  # fmt: skip
MOST_CHANGES = 4
STAYS = 0.2
"""How often a place is a whole object or list and not inside it."""


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few changes anywhere in a file."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, MOST_CHANGES)):
        rng.choice(_BYTE_CHANGES)(changed, rng)
    return bytes(changed)


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randint(0, len(data)) :]


def _drop(data: bytearray, rng: random.Random) -> None:
    start = rng.randint(0, len(data))
    del data[start : start + rng.randint(1, 64)]


def _insert(data: bytearray, rng: random.Random) -> None:
    start = rng.randint(0, len(data))
    data[start:start] = rng.choice(TOKENS)


def _replace(data: bytearray, rng: random.Random) -> None:
    token, start = rng.choice(TOKENS), rng.randint(0, len(data))
    data[start : start + len(token)] = token


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randint(0, len(data))
    data[start:start] = data[start : start + rng.randint(1, 256)]


_BYTE_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _flip, _cut, _drop, _insert, _replace, _repeat,
)  # fmt: skip


def change_document(document: Any, rng: random.Random) -> Any:
    """JSON with one to four of its values replaced, removed, doubled or moved; it is used up."""
    for _ in range(rng.randint(1, MOST_CHANGES)):
        if not (isinstance(document, dict | list) and document):
            return rng.choice(VALUES)
        holder, key = _place(document, rng)
        _change_place(holder, key, rng)
    return document


def _place(holder: Any, rng: random.Random) -> tuple[Any, Any]:
    """A (holder, key or index) on a way down from `holder`, which is not empty."""
    while True:
        key = rng.choice([*holder]) if isinstance(holder, dict) else rng.randrange(len(holder))
        value = holder[key]
        if not (isinstance(value, dict | list) and value) or rng.random() < STAYS:
            return holder, key
        holder = value


def _change_place(holder: Any, key: Any, rng: random.Random) -> None:
    kind = rng.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif kind == 2 and isinstance(holder, dict):
        holder[rng.choice(("x", "", "schema", "rows"))] = holder.pop(key)
    elif isinstance(holder[key], int | float) and kind < 5:
        holder[key] = holder[key] + rng.choice((-1, 1, 0.5, 10**6, -(10**6)))
    else:
        holder[key] = copy.deepcopy(rng.choice(VALUES))


def as_json(document: Any) -> bytes:
    """A document as any JSON writer has it; NaN and infinity as Python writes them."""
    return json.dumps(document).encode()
