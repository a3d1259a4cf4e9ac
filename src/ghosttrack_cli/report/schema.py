"""The report of one layer: what `interpret` writes and the browser shows, as versioned models.

    interpretations/
      layer_6_interpretations.json    the original's records (`OriginalRecord`), one a feature
      layer_6/store/                  a report for each source: the store, TruthfulQA, texts
        summary.json                  LayerSummary: small, all that `status` reads; lists the others
        report.json                   LayerReport: metrics, curves, index of all features
        features/000.json ...         FeatureShard: SHARD_FEATURES features each
        search/tokens.js, words-000.js ...   what a search looks into, see search_files.py

Every rate and mean stands beside the number of rows behind it.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ghosttrack_cli.report.contrast_schema import Contrast
from ghosttrack_cli.report.facts import (
    FileFacts,
    MaskCounts,
    Metrics,
    ModelFacts,
    Recovered,
    SAEFacts,
    SourceFacts,
)
from ghosttrack_cli.report.feature_schema import FeatureShard, Histogram
from ghosttrack_cli.report.record import Count, Layer, Record, SchemaVersion, SettingValue, Share
from ghosttrack_cli.report.stored import SCHEMA_VERSION
from ghosttrack_cli.site import RESID_POST, Point


class FeatureIndex(Record):
    """All features in columns of equal length, by feature number: what a list view needs."""

    firings: list[Count]
    rate: list[float]
    max_act: list[float]
    mean_act: list[float]
    windows: list[Count]
    telling: list[float] = Field(description="lists begin with the highest")
    flags: list[Count] = Field(description="bit i stands for FLAGS[i]")
    tokens: list[list[str]] = Field(description="of each the first five firing tokens")


class FeatureCounts(Record):
    """How many features are what, over `rows` counted rows."""

    rows: Count
    features: Count
    active: Count
    dead: Count
    dead_bound: float = Field(description="a dead feature's rate is below this with 95 %: 3 / rows")
    rare: Count
    dense: Count
    single_token: Count
    position_bound: Count
    duplicate: Count
    above_1_percent: Share = Field(description="share of the features with a rate above 1 %")
    above_10_percent: Share


class Curve(Record):
    """One training curve: `values[i]` at `steps[i]`; None where a value is not finite."""

    name: str
    steps: list[Count]
    values: list[float | None]


class LayerReport(Record):
    """One layer: where the rows came from, how good the SAE is, and an index of its features."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    layer: Layer
    hook_point: Point = Field(RESID_POST, description="where in the layer the rows were read")
    model: ModelFacts
    sae: SAEFacts
    source: SourceFacts
    mask: MaskCounts
    metrics: Metrics | None = Field(description="kept rows")
    metrics_all_rows: Metrics | None = Field(description="every row, position 0 and outliers too")
    recovered: Recovered | None
    recovered_all_rows: Recovered | None
    counts: FeatureCounts
    density: Histogram = Field(description="active features by log10 of the rate")
    training: list[Curve] = Field(description="curves of the SAE's training, if it left a history")
    contrast: Contrast | None = Field(description="TruthfulQA only")
    shards: list[str] = Field(description="files with the features, in order, inside the folder")
    index: FeatureIndex
    notes: list[str] = Field(description="what was left out or approximated, in sentences")
    settings: dict[str, SettingValue] = Field(
        {}, description="settings of the interpretation and of the SAE, by dotted name"
    )


class LayerSummary(Record):
    """summary.json: what `status` shows, the fingerprint of what it was made from, and all files.

    With another fingerprint than the inputs have now, or other files, it has to be made anew.
    """

    schema_version: SchemaVersion = SCHEMA_VERSION
    layer: Layer
    fingerprint: str = Field(description="SHA-256 of settings and inputs; equal: nothing to do")
    sae: SAEFacts
    source: SourceFacts
    counts: FeatureCounts
    metrics: Metrics | None
    recovered: Recovered | None
    significant: Count | None = Field(description="features that separate true from false")
    files: dict[str, FileFacts] = Field(description="every other file, by its name in the folder")
    records: FileFacts = Field(description="the original's file of this source, beside the folders")


class OriginalExample(Record):
    """A top example in the original's file."""

    text: str
    token: str
    activation: float
    position: Count


class OriginalRecord(Record):
    """A feature in layer_N_interpretations.json, with the original's field names."""

    feature_id: Count
    active: bool
    num_activations: Count
    top_activation: float
    mean_activation: float
    common_tokens: list[tuple[str, int]]
    top_examples: list[OriginalExample]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of all files of a report, by model name under `$defs`."""
    from pydantic.json_schema import models_json_schema

    models = (LayerSummary, LayerReport, FeatureShard, OriginalRecord)
    _, schema = models_json_schema(
        [(model, "serialization") for model in models],
        title="GhostTrack interpretation report",
        description=f"schema version {SCHEMA_VERSION}",
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
