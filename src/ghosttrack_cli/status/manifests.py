"""The small JSON manifests of a workspace, read so that a damaged one is a finding, not an end."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import GhostTrackError

if TYPE_CHECKING:
    from pathlib import Path

MAX_MANIFEST_BYTES = 16 * 2**20
SCHEMAS = {True: 2, False: 1}
"""Of manifests that are sealed, and of the others."""


@dataclass(frozen=True)
class Manifest:
    """A JSON object whose values may be anything: the getters give None for what is not there."""

    document: dict[str, Any] = field(default_factory=dict)

    def number(self, *path: str) -> float | None:
        """The number at `path`, None if there is none or it is not finite."""
        value = self._at(path)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if abs(value) < float("inf") else None

    def integer(self, *path: str) -> int | None:
        """The whole number at `path`, None if there is none."""
        value = self._at(path)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def text(self, *path: str) -> str | None:
        """The string at `path`, None if there is none."""
        value = self._at(path)
        return value if isinstance(value, str) else None

    def flag(self, *path: str) -> bool | None:
        """The boolean at `path`, None if there is none."""
        value = self._at(path)
        return value if isinstance(value, bool) else None

    def mapping(self, *path: str) -> dict[str, Any]:
        """The object at `path`, empty if there is none."""
        value = self._at(path)
        return value if isinstance(value, dict) else {}

    def numbers(self, *path: str) -> tuple[float, ...]:
        """The finite numbers in the list at `path`, none if there is no list."""
        values = self._at(path)
        found = values if isinstance(values, list) else []
        return tuple(
            value
            for value in found
            if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        )

    def sizes(self, *path: str) -> dict[str, int]:
        """By name the `bytes` of the files that are listed at `path`, none if there is no list."""
        listed = self._at(path)
        names = listed if isinstance(listed, dict) else ()
        found = {name: self.integer(*path, name, "bytes") for name in names}
        return {name: size for name, size in found.items() if size is not None}

    def _at(self, path: tuple[str, ...]) -> Any:
        value: Any = self.document
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


def read_manifest(
    path: Path, problems: list[str], *, sealed: bool = True, schema: int | None = None
) -> Manifest | None:
    """Read a manifest; None if it is missing, or damaged, which is added to `problems`."""
    found = read_object(path, problems, sealed=sealed)
    if found is not None and found.integer("schema") != (schema or SCHEMAS[sealed]):
        problems.append(f"not a manifest of this version: {path}")
        return None
    return found


def read_object(path: Path, problems: list[str], *, sealed: bool = True) -> Manifest | None:
    """The same for a JSON object that carries no version."""
    read = files.read_sealed if sealed else files.read_json
    try:
        document = read(path, limit=MAX_MANIFEST_BYTES)
    except FileNotFoundError:
        return None
    except GhostTrackError as error:
        problems.append(error.what)
        return None
    return Manifest(document)
