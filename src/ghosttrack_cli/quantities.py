"""Amounts and paths as people write them: "1M" tokens, "~/texts"."""

from __future__ import annotations

import math
import re
from pathlib import Path

from ghosttrack_cli.errors import UsageError

MULTIPLIERS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
MAX_AMOUNT = 10**13
MAX_D_MODEL = 2**20
"""The widest residual stream that is believed of a file."""
AMOUNT = re.compile(r"([0-9]+(?:_[0-9]+)*)(?:\.([0-9]{1,12}))?(?:e\+?([0-9]{1,2})|\s*([kmbgt]?))")
THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
AMBIGUOUS = re.compile(r"[0-9][0-9_]*[.,][0-9.,_]*\s*[kmbgt]?")


def parse_amount(value: str | float) -> int:
    """Read a positive whole amount: 250000, "300k", "1M", "2.5M", "1_000_000", "1,000,000", "1e6".

    A comma separates thousands and nothing else, and a point only fractions of a unit: what
    another convention would read as another amount is refused.

    >>> parse_amount("1M"), parse_amount("2.5k"), parse_amount("1,000"), parse_amount("1e6")
    (1000000, 2500, 1000, 1000000)

    Raises:
        UsageError: not a number, ambiguous, not whole, below 1 or above 10**13.
    """
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    plain = text.strip().lower()
    if THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    match = AMOUNT.fullmatch(plain) if len(text) <= 40 else None
    if match is None or re.fullmatch(r"[0-9]+\.[0-9]{3}", plain):
        raise _not_an_amount(text.strip()[:40], ambiguous=AMBIGUOUS.fullmatch(plain) is not None)
    whole, fraction, power, suffix = match.groups(default="")
    scaled = int(whole + fraction) * MULTIPLIERS[suffix] * int(10 ** int(power or 0))
    amount, rest = divmod(scaled, int(10 ** len(fraction)))
    if rest or not 1 <= amount <= MAX_AMOUNT:
        raise UsageError(f"not a whole number from 1 to {MAX_AMOUNT:,}: {text!r}")
    return amount


def _not_an_amount(text: str, *, ambiguous: bool) -> UsageError:
    if not ambiguous:
        return UsageError(f"not an amount: {text!r}")
    digits = re.sub(r"[.,]", "", text)
    return UsageError(
        f"ambiguous amount: {text!r}",
        hint=f"a comma separates thousands, as in 1,500, and a point marks a fraction, as in 1.5k: "
        f"write {digits} if that is meant",
    )


def expand_home(text: str) -> str:
    """A path with the home folder for a leading "~", as every path of a setting is read.

    Raises:
        ValueError: empty, with a NUL character, or of a user that there is not.
    """
    if not text or "\0" in text:
        raise ValueError("a path is not empty and contains no NUL character")
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def format_amount(amount: float) -> str:
    """Write an amount shortly: 950, 12.3k, 1.00M, 4.20G.

    >>> format_amount(950), format_amount(12_345), format_amount(1_000_448)
    ('950', '12.3k', '1.00M')
    """
    for size, suffix, digits in ((1e9, "G", 2), (1e6, "M", 2), (1e3, "k", 1)):
        if amount >= size:
            return f"{amount / size:.{digits}f}{suffix}"
    return f"{amount:.0f}"


def counted(number: int, noun: str) -> str:
    """A number of things: 1 file, 2,000 files.

    >>> counted(1, "file"), counted(2000, "file")
    ('1 file', '2,000 files')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_bytes(size: float) -> str:
    """Write a number of bytes in decimal units: 12.6 MB.

    >>> format_bytes(12_582_916)
    '12.6 MB'
    """
    for limit, suffix in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= limit:
            return f"{size / limit:.1f} {suffix}"
    return f"{size:.0f} B"


def format_seconds(seconds: float | None) -> str:
    """Write a duration: 45s, 3m20s, 2h05m.

    >>> format_seconds(45.2), format_seconds(200), format_seconds(7500), format_seconds(None)
    ('45s', '3m20s', '2h05m', '-')
    """
    if seconds is None:
        return "-"
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 60}m{whole % 60:02}s" if whole >= 60 else f"{whole}s"


def format_done(done: int, total: int | None, unit: str) -> str:
    """Write how much of how much is done.

    >>> format_done(5_000, 20_000, "tokens"), format_done(5_000_000, 20_000_000, "bytes")
    ('5,000/20,000 tokens', '5.0 MB/20.0 MB')
    """
    write = format_bytes if unit == "bytes" else "{:,}".format
    words = write(done) if total is None else f"{write(done)}/{write(total)}"
    return words if unit == "bytes" else f"{words} {unit}"


def format_rate(rate: float, unit: str) -> str:
    """Write how many units are done in a second.

    >>> format_rate(8_100, "tokens"), format_rate(2.5, "texts"), format_rate(3e8, "bytes")
    ('8.1k tokens/s', '2.5 texts/s', '300.0 MB/s')
    """
    if unit == "bytes":
        return f"{format_bytes(rate)}/s"
    return f"{format_amount(rate) if rate >= 10 else f'{rate:.1f}'} {unit}/s"


def format_share(share: float) -> str:
    """Write a share as whole percent; 100% is only what is complete.

    >>> format_share(0.332), format_share(0.9999), format_share(1)
    ('33%', '99%', '100%')
    """
    return f"{min(100, int(100 * share + 1e-9))}%"


def format_figure(value: float | str, digits: int = 3) -> str:
    """Write a measured number with three digits that count, a large one to its units.

    >>> format_figure(0.012345), format_figure(66), format_figure(23456.7), format_figure("-")
    ('0.0123', '66.0', '23,457', '-')
    """
    if isinstance(value, str):
        return value
    large = math.isfinite(value) and abs(value) >= 10**digits - 0.5
    if large or value == 0:
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


def format_percent(share: float) -> str:
    """Write a measured share in percent, with three digits that count.

    >>> format_percent(0.0123456), format_percent(0.00000456), format_percent(0.99987)
    ('1.23%', '0.000456%', '99.99%')
    """
    if share == 1:
        return "100%"
    return f"{format_figure(100 * share, 4 if share >= 0.9995 else 3)}%"
