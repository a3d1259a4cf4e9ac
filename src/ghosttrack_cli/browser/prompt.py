"""Which features fire on one text: interpretations/prompt.json, shown by the page."""

from __future__ import annotations

from ghosttrack_cli.report.record import Count, Layer, Record, SchemaVersion
from ghosttrack_cli.report.stored import SCHEMA_VERSION

PROMPT_FILE = "prompt.json"


class PromptFeature(Record):
    """A feature that fires on the text, with its activation on each token."""

    feature: Count
    acts: list[float]


class PromptLayer(Record):
    """The features of one layer that fire, by feature number."""

    layer: Layer
    features: list[PromptFeature]


class PromptReport(Record):
    """One text, its tokens, and the features that fire on them."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    model: str
    text: str
    ids: list[int]
    texts: list[str]
    layers: list[PromptLayer]
