"""Where a stream of documents is, as a cursor holds it: checked before anything goes on from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import CorruptionError

if TYPE_CHECKING:
    from collections.abc import Collection

    from ghosttrack_cli.text.documents import JSON

MOST = 2**53
"""A count, an offset or a row is below it; more is no number of anything."""
HINT = "run the same command with --overwrite to start over"


def checked_position(
    value: JSON, what: str, needed: Collection[str], allowed: Collection[str] = ()
) -> dict[str, Any]:
    """`value` as an object of counts: all of `needed`, and no other but those `allowed`.

    Raises:
        CorruptionError: it is something else.
    """
    found = value if isinstance(value, dict) else {}
    names = set(needed)
    if not names <= set(found) <= names | set(allowed) or not all(map(is_count, found.values())):
        raise not_a_position(value, what)
    return found


def checked_count(value: JSON, what: str, most: int = MOST) -> int:
    """`value` as a number of things from 0 to `most`.

    Raises:
        CorruptionError: it is something else.
    """
    if not is_count(value) or value > most:
        raise not_a_position(value, what)
    return int(value)


def is_count(value: JSON) -> bool:
    """Whether it is a whole number from 0 on that something can be counted by."""
    return type(value) is int and 0 <= value <= MOST


def not_a_position(value: JSON, what: str) -> CorruptionError:
    """The error for a place that no stream of `what` was ever at."""
    return CorruptionError(f"not a valid position in {what}: {str(value)[:80]}", hint=HINT)
