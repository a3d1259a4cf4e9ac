"""One layer's finished pass as files: features, original records, report and summary.

Everything is written into a folder beside and appears under its name in one rename.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.interpretation.features import feature_statistics
from ghosttrack_cli.interpretation.features.feature_reports import FeatureBuilder
from ghosttrack_cli.interpretation.parts import FEATURES, WRITING
from ghosttrack_cli.monitor import SILENT
from ghosttrack_cli.report import report_files
from ghosttrack_cli.report.facts import Metrics
from ghosttrack_cli.report.feature_flags import FLAGS, counts_name, flag_bits
from ghosttrack_cli.report.feature_schema import SHARD_FEATURES, shard_name
from ghosttrack_cli.report.schema import (
    Curve,
    FeatureCounts,
    FeatureIndex,
    LayerReport,
    LayerSummary,
)
from ghosttrack_cli.report.search_files import SearchFiles
from ghosttrack_cli.report.stored import SUMMARY, report_sources
from ghosttrack_cli.site import Site
from ghosttrack_cli.workspace import MAIN_SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ghosttrack_cli.interpretation.collect.layer_pass import LayerPass
    from ghosttrack_cli.interpretation.features.feature_reports import WeightFacts
    from ghosttrack_cli.interpretation.inputs import Trained
    from ghosttrack_cli.metrics import ReconstructionSums
    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.report.contrast_schema import Contrast
    from ghosttrack_cli.report.facts import FileFacts, ModelFacts, Recovered, SourceFacts
    from ghosttrack_cli.report.feature_schema import FeatureReport
    from ghosttrack_cli.report.record import SettingValue
    from ghosttrack_cli.report.schema import OriginalRecord
    from ghosttrack_cli.report.token_text import TokenTexts
    from ghosttrack_cli.workspace import Workspace

X_AXES = ("step", "epoch")
INDEX_TOKENS = 5
"""Firing tokens of a feature in the list of all."""


@dataclass(frozen=True)
class Finished:
    """All that is known about a layer when its pass is over."""

    trained: Trained
    fingerprint: str
    model: ModelFacts
    source: SourceFacts
    layer_pass: LayerPass
    contrast: Contrast | None
    facts: WeightFacts
    recovered: Recovered | None
    recovered_all_rows: Recovered | None
    notes: list[str]
    settings: dict[str, SettingValue]


def write_layer(
    workspace: Workspace, finished: Finished, texts: TokenTexts, monitor: Monitor = SILENT
) -> LayerSummary:
    """Write all files of a layer and return its summary."""
    layer, source = finished.trained.layer, finished.source.slug
    folder = workspace.report(layer, source)
    temporary = files.temporary_path(folder)
    files.remove(temporary)
    builder = FeatureBuilder(finished.layer_pass.collector, finished.facts, texts)
    count = finished.trained.sae.d_hidden
    numbers = monitor.counted(FEATURES, range(count), count, "features")
    features = map(builder.feature, numbers)
    new, rows = report_files.NewReport(temporary), IndexRows()
    search = SearchFiles(new, layer, source)
    for feature in new.write_features(layer, features):
        rows.add(feature)
        search.add(feature)
    monitor.begin(WRITING)
    search.finish()
    report = _report(finished, rows.index())
    new.write_record(report_files.REPORT, report)
    records = report_files.original_file(rows.original)
    summary = _summary(finished, report, new.files, report_files.facts_of(records))
    report_files.write_record(temporary / SUMMARY, summary)
    files.write_bytes(workspace.interpretation(layer, source), records)
    if MAIN_SOURCE not in report_sources(folder.parent):
        files.write_bytes(workspace.interpretation(layer), records)
    files.replace_folder(temporary, folder)
    return summary


class IndexRows:
    """Gathers the columns of the index and the original's records while features go by."""

    def __init__(self) -> None:
        self.original: list[OriginalRecord] = []
        self._columns: dict[str, list[object]] = {name: [] for name in FeatureIndex.model_fields}

    def add(self, feature: FeatureReport) -> None:
        """Note one feature."""
        self.original.append(report_files.original_record(feature))
        row = {
            "firings": feature.firings,
            "rate": feature.rate,
            "max_act": feature.max_act,
            "mean_act": feature.mean_act,
            "windows": feature.windows,
            "telling": feature.telling,
            "flags": flag_bits(feature.flags),
            "tokens": [token.text for token in feature.tokens[:INDEX_TOKENS]],
        }
        for name, column in self._columns.items():
            column.append(row[name])

    def index(self) -> FeatureIndex:
        """The columns."""
        return FeatureIndex.model_validate(self._columns)


def _report(finished: Finished, index: FeatureIndex) -> LayerReport:
    one = finished.layer_pass
    rates = np.array(index.rate)
    return LayerReport(
        layer=Site.of(one.layer),
        hook_point=Site.of(one.layer).point,
        model=finished.model,
        sae=finished.trained.facts,
        source=finished.source,
        mask=one.mask_counts(),
        metrics=metrics_of(one.kept),
        metrics_all_rows=metrics_of(one.everything),
        recovered=finished.recovered,
        recovered_all_rows=finished.recovered_all_rows,
        counts=_counts(index, one.collector.moments.rows),
        density=feature_statistics.density_histogram(rates),
        training=training_curves(finished.trained.history),
        contrast=finished.contrast,
        shards=[shard_name(first) for first in range(0, len(rates), SHARD_FEATURES)],
        index=index,
        notes=finished.notes,
        settings=finished.settings,
    )


def _summary(
    finished: Finished, report: LayerReport, listed: dict[str, FileFacts], records: FileFacts
) -> LayerSummary:
    return LayerSummary(
        layer=report.layer,
        fingerprint=finished.fingerprint,
        sae=report.sae,
        source=report.source,
        counts=report.counts,
        metrics=report.metrics,
        recovered=report.recovered,
        significant=report.contrast.significant if report.contrast else None,
        files=listed,
        records=records,
    )


def _counts(index: FeatureIndex, rows: int) -> FeatureCounts:
    flags, rates = np.array(index.flags), np.array(index.rate)
    flagged = {counts_name(flag): int(((flags >> bit) & 1).sum()) for bit, flag in enumerate(FLAGS)}
    return FeatureCounts(
        rows=rows,
        features=len(rates),
        active=int((rates > 0).sum()),
        dead_bound=feature_statistics.rate_of(0, rows).high,
        above_1_percent=float((rates > 0.01).mean()),
        above_10_percent=float((rates > 0.1).mean()),
        **flagged,
    )


def metrics_of(sums: ReconstructionSums) -> Metrics | None:
    """The reconstruction metrics, None without rows; what is not finite is left out."""
    if sums.rows == 0:
        return None
    result = sums.result()
    values = {
        name: value if math.isfinite(value) else None for name, value in asdict(result).items()
    }
    explained = None if values["fvu"] is None else 1 - values["fvu"]
    return Metrics.model_validate({**values, "explained_variance": explained})


def training_curves(history: Path | None) -> list[Curve]:
    """The columns of a training history, against its steps or its entries' numbers."""
    if history is None:
        return []
    columns = _history(history)
    lengths = [len(values) for values in columns.values() if isinstance(values, list)]
    steps = columns.get("step") or list(range(1, max(lengths, default=0) + 1))
    return [
        Curve(name=name, steps=steps[: len(values)], values=_finite(values))
        for name, values in columns.items()
        if name not in X_AXES and isinstance(values, list)
    ]


def _history(path: Path) -> dict[str, Any]:
    """The columns of our history, or of the original's, which is not sealed and has no steps.

    Raises:
        CorruptionError: damaged.
    """
    try:
        return files.read_sealed(path)
    except CorruptionError as error:
        with suppress(CorruptionError):
            columns = files.read_json(path, foreign=True)
            if not columns.keys() & {"checksum", "step", "epoch"}:
                return columns
        hint = "ghosttrack train rebuilds it from the last checkpoint"
        raise CorruptionError(error.what, hint=hint) from error


def _finite(values: Iterable[float | None]) -> list[float | None]:
    return [value if value is not None and math.isfinite(value) else None for value in values]
