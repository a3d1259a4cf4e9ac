"""Which reports a workspace has: layers, sources of rows, folders; the newest of a layer first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.workspace import numbered_layers

if TYPE_CHECKING:
    from pathlib import Path

SUMMARY = "summary.json"
SOURCE = re.compile(rf"([a-z0-9][a-z0-9_-]*)({re.escape(files.PREVIOUS_SUFFIX)})?")
"""A report's folder; the suffix is there for the instant in which a new one takes its place."""
OLD_LAYOUT = "features"
"""Stands directly in a layer's folder where an earlier version wrote the report."""


@dataclass(frozen=True)
class StoredReport:
    """A report on disk: of `layer`, over the rows of `source`."""

    layer: int
    source: str
    folder: Path
    time: float
    """When it was finished, in seconds of the file system's clock."""


def stored_reports(interpretations: Path) -> list[StoredReport]:
    """All reports, by layer, the newest of a layer first."""
    layers = numbered_layers(interpretations, "layer_{}")
    return [one for layer in layers for one in layer_reports(interpretations, layer)]


def layer_reports(interpretations: Path, layer: int) -> list[StoredReport]:
    """The reports of one layer, the newest first."""
    folder = interpretations / f"layer_{layer}"
    found = [_stored(layer, source, folder / source) for source in report_sources(folder)]
    return sorted(filter(None, found), key=lambda one: (-one.time, one.source))


def report_sources(folder: Path) -> list[str]:
    """The sources that have a report in a layer's `folder`, by name; none without one."""
    try:
        matches = [SOURCE.fullmatch(path.name) for path in folder.iterdir()]
    except OSError:
        return []
    return sorted({match[1] for match in matches if match} - {OLD_LAYOUT})


def _stored(layer: int, source: str, folder: Path) -> StoredReport | None:
    """None for a folder without a summary.

    The summary may be under either name until the second look, since a report that is replaced
    goes from the first to the second.
    """
    previous = folder.with_name(folder.name + files.PREVIOUS_SUFFIX)
    for place in (folder, previous, folder):
        try:
            return StoredReport(layer, source, place, (place / SUMMARY).stat().st_mtime)
        except OSError:
            continue
    return None
