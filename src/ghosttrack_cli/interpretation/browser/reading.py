"""Reports from disk, checked: a file that is not one is named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.files import MAX_JSON_BYTES, read_bytes
from ghosttrack_cli.interpretation.report import FeatureShard, LayerReport, Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ghosttrack_cli.interpretation.report import FeatureReport

R = TypeVar("R", bound=Record)
SHARD_PATTERN = r"features/\d{3,}\.json"


def read_record(path: Path, kind: type[R]) -> R:
    """Read one file of a report.

    Raises:
        CorruptionError: there is none, or it is not what the format says.
    """
    try:
        return kind.model_validate_json(read_bytes(path, limit=MAX_JSON_BYTES))
    except FileNotFoundError as error:
        raise CorruptionError(f"missing from a report: {path}", hint=_HINT) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CorruptionError(
            f"not a {kind.__name__}: {path}: {where}: {first['msg']}", hint=_HINT
        ) from error


_HINT = "ghosttrack interpret --overwrite"


def reported_layers(interpretations: Path) -> list[tuple[int, Path]]:
    """Layers with a report and their folders, by number."""
    found = []
    for report in interpretations.glob("layer_*/report.json"):
        match = re.fullmatch(r"layer_(\d{1,6})", report.parent.name)
        if match:
            found.append((int(match[1]), report.parent))
    return sorted(found)


def features(folder: Path, report: LayerReport) -> Iterator[FeatureReport]:
    """The features of a layer in their order, a shard in memory at a time."""
    for name in report.shards:
        if not re.fullmatch(SHARD_PATTERN, name):
            raise CorruptionError(f"not the name of a shard: {name[:60]!r}: {folder}", hint=_HINT)
        yield from read_record(folder / name, FeatureShard).features
