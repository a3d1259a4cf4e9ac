"""The small manifest of a layer's training: all that `status` has to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.training.records.checked import check_progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA = 2
MAX_BYTES = 2**24


def read_progress(path: Path) -> dict[str, Any] | None:
    """The manifest, or None where the layer was never trained.

    Raises:
        CorruptionError: not such a manifest.
    """
    try:
        document = files.read_sealed(path, limit=MAX_BYTES)
    except FileNotFoundError:
        return None
    if document.get("schema") != SCHEMA:
        raise CorruptionError(f"not a training manifest of schema {SCHEMA}: {path}")
    check_progress(document, path)
    return document


def write_progress(path: Path, document: Mapping[str, Any]) -> None:
    """Write the manifest."""
    files.make_folder(path.parent)
    files.write_sealed(path, {"schema": SCHEMA, **document})
