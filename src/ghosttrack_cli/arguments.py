"""Arguments of the Python API: read as people pass them, or refused by name."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.quantities import expand_home
from ghosttrack_cli.site import Site

if TYPE_CHECKING:
    from ghosttrack_cli.settings.schema import Section

    Settings = TypeVar("Settings", bound=Section)

SHOWN = 60
PATH_HINT = "pass a str or a pathlib.Path"


def as_path(value: Any, name: str) -> Path:
    """A path from a string or a path, its home folder expanded."""
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{name}: expected a path, not {_shown(value)}", hint=PATH_HINT)
    try:
        return Path(expand_home(os.fspath(value)))
    except ValueError as error:
        raise UsageError(f"{name}: {error}", hint=PATH_HINT) from error


def as_count(value: Any, name: str, *, least: int = 1) -> int:
    """A whole number, of numpy too, that is `least` or more."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise UsageError(
            f"{name}: expected a whole number, not {_shown(value)}",
            hint=f"pass an int, {least} or more",
        )
    return number


def as_layer(value: Any, name: str) -> Site:
    """A site, or the number of a layer, the first one 0."""
    return value if isinstance(value, Site) else Site(as_count(value, name, least=0))


def as_texts(value: Any, name: str) -> list[str]:
    """A list of texts; one string is none, for its letters would be the texts."""
    if isinstance(value, str):
        raise UsageError(f"{name}: one string is not a list of texts", hint=f"pass {name}=[text]")
    if not isinstance(value, Sequence):
        raise UsageError(
            f"{name}: expected a list of texts, not {_shown(value)}", hint="pass a list of str"
        )
    for place, text in enumerate(value):
        if not isinstance(text, str):
            raise UsageError(
                f"{name}[{place}]: expected a text, not {_shown(text)}", hint="pass a list of str"
            )
    return list(value)


def as_settings(section: type[Settings], value: Any, names: Mapping[str, str]) -> Settings:
    """Settings from themselves or from a mapping; `names` says what callers call a field."""
    if isinstance(value, section):
        return value
    if value is not None and not isinstance(value, Mapping):
        raise UsageError(
            f"expected {section.__name__}, not {_shown(value)}", hint="pass a dict of settings"
        )
    try:
        return section.model_validate(dict(value or {}))
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else section.__name__
        words = first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"{names.get(field, field)}: {words}: {_shown(first['input'])}",
            hint=f"ghosttrack_cli.settings.schema.{section.__name__} says what is valid",
        ) from None


def require(value: Any, method: str, name: str, example: str) -> None:
    """Refuse what cannot be what it is passed as: it lacks `method`."""
    if not hasattr(value, method):
        raise UsageError(f"{name}: {_shown(value)} has the wrong type", hint=f"pass {example}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
