"""Data as scripts: `fetch` is refused on file://, and corpus text is hostile."""

from __future__ import annotations

import json
from typing import Any

ESCAPED = ("<", ">", "&", "\u2028", "\u2029")


def script(name: str, payload: Any) -> bytes:
    r"""A script that hands `payload` to the page under `name`.

    `<`, `>`, `&`, U+2028 and U+2029 can only stand inside strings and become escapes, so that no
    text ends a script, opens a tag or breaks a line. A lone surrogate becomes its escape.

    >>> script("a", {"text": "</script>"})
    b'ghosttrack.deliver("a", {"text":"\\u003c/script\\u003e"});\n'
    """
    key, value = (_encode(part) for part in (name, payload))
    return f"ghosttrack.deliver({key}, {value});\n".encode("utf-8", "backslashreplace")


def script_payload(data: bytes) -> bytes:
    r"""The JSON inside a script of ours.

    >>> script_payload(script("a/b", {"text": "x, y"}))
    b'{"text":"x, y"}'
    """
    return data[data.index(b", ") + 2 : data.rindex(b")")]


def _encode(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in ESCAPED:
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
