"""Features of a report from disk, checked: a file that is not one is named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.report.feature_schema import FeatureShard
from ghosttrack_cli.report.stored import how_to_make

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ghosttrack_cli.report.feature_schema import FeatureReport
    from ghosttrack_cli.report.report_files import WholeReport
    from ghosttrack_cli.report.schema import LayerReport

SHARD_PATTERN = r"features/\d{3,}\.json"


def features(stored: WholeReport, report: LayerReport) -> Iterator[FeatureReport]:
    """The features of a layer in their order, a shard in memory at a time."""
    for name in report.shards:
        if not re.fullmatch(SHARD_PATTERN, name):
            raise CorruptionError(
                f"not the name of a shard: {name[:60]!r}: {stored.folder}",
                hint=how_to_make(stored.folder),
            )
        yield from stored.record(name, FeatureShard).features
