"""Which reports a workspace has: layers, sources of rows, folders; the newest of a layer first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from ghosttrack_cli import files
from ghosttrack_cli.site import SITE, Site
from ghosttrack_cli.workspace import numbered_layers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ghosttrack_cli.site import AnySite

SUMMARY = "summary.json"
SOURCE = re.compile(rf"([a-z0-9][a-z0-9_-]*)({re.escape(files.PREVIOUS_SUFFIX)})?")
"""A report's folder; the suffix is there for the instant in which a new one takes its place."""
Version = Literal[3]
SCHEMA_VERSION: Final[Version] = 3
"""Of the format, which stands in every file of a report."""
PAGE_LIST = "browser/files.json"
"""All files of the page, sealed: written last, so that it tells a whole page."""
PAGE_SCHEMA = 1
MISSING = "missing from a report"
MAKEABLE = re.compile(
    r"(?P<name>store|truthfulqa)(-(?P<texts>\d+)-texts)?(-(?P<tokens>\d+)-tokens)?"
)
OLD_FILES = ("features", "search", "report.json", SUMMARY)
"""What an earlier version wrote directly into a layer's folder, its summary the last to go."""


@dataclass(frozen=True)
class StoredReport:
    """A report on disk: of `layer`, over the rows of `source`."""

    layer: Site
    source: str
    folder: Path
    time: float
    """When it was finished, in seconds of the file system's clock."""


def stored_reports(interpretations: Path) -> list[StoredReport]:
    """All reports, by layer, the newest of a layer first."""
    layers = numbered_layers(interpretations, "layer_{}")
    return [one for layer in layers for one in layer_reports(interpretations, layer)]


def layer_reports(interpretations: Path, layer: AnySite) -> list[StoredReport]:
    """The reports of one layer, the newest first."""
    folder = interpretations / f"layer_{layer}"
    found = [_stored(Site.of(layer), source, folder / source) for source in report_sources(folder)]
    return sorted(filter(None, found), key=lambda one: (-one.time, one.source))


def report_sources(folder: Path) -> list[str]:
    """The sources that have a report in a layer's `folder`, by name; none without one."""
    try:
        matches = [SOURCE.fullmatch(path.name) for path in folder.iterdir()]
    except OSError:
        return []
    return sorted({match[1] for match in matches if match} - {*OLD_FILES})


def old_layouts(interpretations: Path) -> list[Site]:
    """The layers that have a report of an earlier version, directly in their folder."""
    layers = numbered_layers(interpretations, "layer_{}")
    return [one for one in layers if (interpretations / f"layer_{one}" / SUMMARY).is_file()]


def wrong_size(path: Path, size: int) -> str | None:
    """What is wrong with a file that was written with `size` bytes, None if it has as many.

    Raises:
        FileNotFoundError: there is no such file.
    """
    found = path.stat().st_size
    return None if found == size else f"damaged: {path}: {found:,} of {size:,} bytes"


def wrong_sizes(folder: Path, sizes: Mapping[str, int], missing: str = MISSING) -> Iterator[str]:
    """What is wrong with files in a report's `folder`, by a look at each: missing, other size."""
    for name, size in sizes.items():
        try:
            found = wrong_size(folder / name, size)
        except (OSError, ValueError):  # the latter for a name that no file has
            found = f"{missing}: {folder / name}"
        if found:
            yield found


def how_to_make(folder: Path) -> str:
    """The command that makes the report in `folder` anew where it is damaged.

    >>> from pathlib import Path
    >>> how_to_make(Path("interpretations/layer_6/store-5000-tokens"))
    'ghosttrack interpret --layers 6 --texts store --max-tokens 5000'
    >>> how_to_make(Path("interpretations/layer_6/texts-notes-1f2e3d4c"))
    'ghosttrack interpret --layers 6'
    """
    layer = re.fullmatch(rf"layer_({SITE})", folder.parent.name)
    command = f"ghosttrack interpret --layers {layer[1]}" if layer else "ghosttrack interpret"
    match = MAKEABLE.fullmatch(folder.name.removesuffix(files.PREVIOUS_SUFFIX))
    if match is None:  # a file or data set, whose place the name does not say
        return command
    limits = [f" --max-{unit} {match[unit]}" for unit in ("texts", "tokens") if match[unit]]
    return "".join([command, f" --texts {match['name']}", *limits])


def _stored(layer: Site, source: str, folder: Path) -> StoredReport | None:
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
