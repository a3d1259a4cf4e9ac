"""Reads what `interpret` wrote, one layer or one feature at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ghosttrack_cli.errors import CorruptionError, StateError, UsageError
from ghosttrack_cli.interpretation.layout import REPORT, SUMMARY, read_record
from ghosttrack_cli.interpretation.report import (
    FeatureReport,
    FeatureShard,
    LayerReport,
    LayerSummary,
    Record,
    shard_name,
)
from ghosttrack_cli.workspace import numbered_layers

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.workspace import Workspace

Model = TypeVar("Model", bound=Record)


def interpreted_layers(workspace: Workspace) -> tuple[int, ...]:
    """The layers that have a report."""
    folders = numbered_layers(workspace.interpretations, "layer_{}")
    return tuple(layer for layer in folders if (workspace.report(layer) / SUMMARY).is_file())


def one_layer(workspace: Workspace, layer: int | None) -> int:
    """The layer asked for, or the only one that has a report.

    Raises:
        StateError: no layer has a report.
        UsageError: that one has none, or several have and none was named.
    """
    present = interpreted_layers(workspace)
    if not present:
        raise StateError(
            f"no interpreted layer in {workspace.interpretations}", hint="ghosttrack interpret"
        )
    if layer is None and len(present) == 1:
        return present[0]
    if layer not in present:
        what = "which layer?" if layer is None else f"--layer: layer {layer} has no report,"
        raise UsageError(
            f"{what} valid are {', '.join(map(str, present))}",
            hint="add --layer" if layer is None else f"ghosttrack interpret --layers {layer}",
        )
    return layer


def read_summary(workspace: Workspace, layer: int) -> LayerSummary:
    """The summary of a layer's report."""
    return _read(workspace.report(layer) / SUMMARY, LayerSummary)


def read_report(workspace: Workspace, layer: int) -> LayerReport:
    """The report of a layer with the index of all features."""
    return _read(workspace.report(layer) / REPORT, LayerReport)


def read_feature(workspace: Workspace, layer: int, feature: int) -> FeatureReport:
    """Everything about one feature.

    Raises:
        UsageError: the SAE has no such feature.
    """
    count = read_summary(workspace, layer).counts.features
    if not 0 <= feature < count:
        raise UsageError(
            f"--feature: {feature} is not valid, layer {layer} has features 0 to {count - 1:,}",
            hint=f"ghosttrack interpret list --layer {layer}",
        )
    path = workspace.report(layer) / shard_name(feature)
    shard = _read(path, FeatureShard)
    index = feature - shard.first
    if not 0 <= index < len(shard.features) or shard.features[index].feature != feature:
        raise CorruptionError(f"feature {feature} is not in {path}", hint="ghosttrack interpret")
    return shard.features[index]


def _read(path: Path, model: type[Model]) -> Model:
    try:
        return read_record(path, model)
    except FileNotFoundError:
        raise StateError(f"no such report: {path}", hint="ghosttrack interpret") from None
