"""Amounts and layers as people write them: "1M" tokens, layers "0,6,11"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

MULTIPLIERS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9}
MAX_AMOUNT = 10**13
LAYERS_HINT = "--layers takes 6, 0,6,11, 0-5, middle or all"


def parse_amount(text: str | int) -> int:
    """Read a positive whole amount: 250000, "300k", "1M", "2.5M", "1_000_000".

    >>> parse_amount("1M"), parse_amount("2.5k"), parse_amount("1_000")
    (1000000, 2500, 1000)

    Raises:
        UsageError: not a number, not whole, below 1 or above 10**13.
    """
    match = re.fullmatch(r"(\d[\d_,]*)(?:\.(\d{1,12}))?\s*([kmbg]?)", str(text).strip().lower())
    if match is None or len(str(text)) > 40:
        raise UsageError(
            f"not an amount: {str(text)[:40]!r}", hint="write 250000, 300k, 1M or 2.5M"
        )
    whole, fraction, suffix = match[1].replace("_", "").replace(",", ""), match[2] or "", match[3]
    scaled = int(whole + fraction) * MULTIPLIERS[suffix]
    amount, rest = divmod(scaled, int(10 ** len(fraction)))
    if rest or not 1 <= amount <= MAX_AMOUNT:
        raise UsageError(f"not a whole amount from 1 to {MAX_AMOUNT:,}: {text!r}")
    return amount


def format_amount(amount: float) -> str:
    """Write an amount shortly: 950, 12.3k, 1.00M, 4.20G.

    >>> format_amount(950), format_amount(12_345), format_amount(1_000_448)
    ('950', '12.3k', '1.00M')
    """
    for size, suffix, digits in ((1e9, "G", 2), (1e6, "M", 2), (1e3, "k", 1)):
        if amount >= size:
            return f"{amount / size:.{digits}f}{suffix}"
    return f"{amount:.0f}"


def format_bytes(size: float) -> str:
    """Write a number of bytes in decimal units: 12.6 MB.

    >>> format_bytes(12_582_916)
    '12.6 MB'
    """
    for limit, suffix in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= limit:
            return f"{size / limit:.1f} {suffix}"
    return f"{size:.0f} B"


def parse_layers(text: str | int, n_layers: int) -> tuple[int, ...]:
    """Read a choice of layers: "6", "0,6,11", "0-5", "middle" (n_layers // 2) or "all".

    >>> parse_layers("0,4-6", 12), parse_layers("middle", 12)
    ((0, 4, 5, 6), (6,))

    Raises:
        UsageError: malformed, or a layer that the model does not have.
    """
    text = str(text).strip().lower()
    if text == "all":
        return tuple(range(n_layers))
    if text == "middle":
        return (n_layers // 2,)
    layers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:\s*-\s*(\d{1,6}))?\s*", part)
        if match is None:
            raise UsageError(f"not a choice of layers: {text[:40]!r}", hint=LAYERS_HINT)
        first, last = int(match[1]), int(match[2] or match[1])
        if last >= n_layers or first > last:
            raise UsageError(
                f"layer out of range: {part.strip()}, valid are 0 to {n_layers - 1}",
                hint=LAYERS_HINT,
            )
        layers.update(range(first, last + 1))
    return tuple(sorted(layers))


def format_layers(layers: Sequence[int]) -> str:
    """Write layers as `parse_layers` reads them: "0,6,11"."""
    return ",".join(str(layer) for layer in layers)
