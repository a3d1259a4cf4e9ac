"""In what something on disk is not what is requested, field by field, and how that is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ghosttrack_cli.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

Fields: TypeAlias = "dict[str, tuple[object, object]]"
"""name -> (on disk, requested)"""

START_OVER = "or use another --workspace, or --overwrite to start over"
OTHER_SETTINGS = f"leave out the settings that differ, {START_OVER}"


def differing(found: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> Fields:
    """The fields in which two documents differ, by dotted name; one that is missing is None.

    >>> differing({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}, "corpus.")
    {'corpus.b.c': (2, 3)}
    """
    before, now = flat(found, prefix), flat(asked, prefix)
    return {
        name: (before.get(name), now.get(name))
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    }


def flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested document by dotted keys."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        nested = isinstance(value, dict) and value
        found |= flat(value, f"{prefix}{key}.") if nested else {prefix + key: value}
    return found


def refuse(what: str, fields: Fields, *, hint: str) -> None:
    """Raise a ConflictError that says `what` and lists `fields`, if there are any."""
    if fields:
        raise ConflictError(what, fields=fields, hint=hint)
