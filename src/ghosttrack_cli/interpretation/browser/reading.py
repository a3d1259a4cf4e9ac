"""Reports from disk, checked: a file that is not one is named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.interpretation import layout
from ghosttrack_cli.interpretation.report import FeatureShard, LayerReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ghosttrack_cli.interpretation.report import FeatureReport

SHARD_PATTERN = r"features/\d{3,}\.json"


def read_record(path: Path, kind: type[layout.R]) -> layout.R:
    """Read one file that a report must have.

    Raises:
        CorruptionError: there is none, or it is not what the format says.
    """
    try:
        return layout.read_record(path, kind)
    except FileNotFoundError as error:
        raise CorruptionError(f"missing from a report: {path}", hint=layout.ANEW) from error


def features(folder: Path, report: LayerReport) -> Iterator[FeatureReport]:
    """The features of a layer in their order, a shard in memory at a time."""
    for name in report.shards:
        if not re.fullmatch(SHARD_PATTERN, name):
            raise CorruptionError(
                f"not the name of a shard: {name[:60]!r}: {folder}", hint=layout.ANEW
            )
        yield from read_record(folder / name, FeatureShard).features
