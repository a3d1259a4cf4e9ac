"""What a text file is encoded in: UTF-8, UTF-16 or UTF-32, told apart by mark or by content.

Another encoding is never guessed: bytes that Latin-1 takes for a text, Shift-JIS takes for another.
"""

from __future__ import annotations

import codecs
import unicodedata

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
SPACES = frozenset("\t\n\v\f\r\x85")
MAX_CONTROLS = 0.3
"""Share of control bytes in UTF-8 that has NUL characters: UTF-16 of most scripts has half."""
MAX_ODD = 0.1
"""Share of characters that no text has: bytes of any other kind, read as UTF-16, have more."""
MAX_ASCII = 0.8
"""Share of ASCII in the bytes of UTF-16: text in one byte a character has more."""


def marked_encoding(sample: bytes) -> str | None:
    """The encoding that a byte order mark at the beginning of `sample` names."""
    for mark, encoding in MARKS:
        if sample.startswith(mark):
            # A UTF-16 text may begin with a NUL character, a UTF-32 text is whole in fours.
            if encoding == "utf-32-le" and _decoded(sample, encoding) is None:
                continue
            return encoding
    return None


def detect_encoding(sample: bytes) -> str | None:
    """The encoding of a text that begins with `sample`: UTF-8, -16 or -32, or None.

    Without NUL bytes it can only be UTF-8: a wide text of any length has spaces or line ends.
    """
    if marked := marked_encoding(sample):
        return marked
    if b"\0" not in sample:
        return "utf-8"
    plain = _decoded(sample, "utf-8")
    if plain is not None and sum(byte < 32 for byte in sample) < MAX_CONTROLS * len(sample):
        return "utf-8"
    return _wide_encoding(sample) or (None if plain is None else "utf-8")


def _wide_encoding(sample: bytes) -> str | None:
    """The one of WIDE in which the sample reads best as text; None if that is not clear."""
    texts = {name: text for name in WIDE if (text := _decoded(sample, name))}
    ranks = {name: _rank(text) for name, text in texts.items() if _odd(text) <= MAX_ODD}
    for encoding in WIDE[:2]:
        if encoding in ranks:
            return encoding
    best = min(ranks, key=lambda name: ranks[name], default=None)
    tied = len({*ranks.values()}) < len(ranks)
    mostly_ascii = sum(32 <= byte < 127 for byte in sample) > MAX_ASCII * len(sample)
    return None if tied or mostly_ascii else best


def _rank(text: str) -> tuple[float, int]:
    """Low for what reads as text: few odd characters, then many of Latin, with its spaces."""
    return _odd(text), -sum(ord(one) < 256 for one in text)


def _odd(text: str) -> float:
    """The share of characters that texts hardly have."""
    odd = sum(one not in SPACES and unicodedata.category(one) in {"Cc", "Cn", "Co"} for one in text)
    return odd / len(text)


def _decoded(sample: bytes, encoding: str) -> str | None:
    """The text of a sample, whose last character may be cut; None if it is not so encoded."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return None
