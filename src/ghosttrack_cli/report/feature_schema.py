"""The report of one feature: what it fires on, how often, and what its weights say."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from ghosttrack_cli.report.feature_flags import Flag
from ghosttrack_cli.report.record import Count, Layer, Record, SchemaVersion, Share
from ghosttrack_cli.report.stored import SCHEMA_VERSION

SHARD_FEATURES: Final = 256
Answer = Literal["factual", "hallucinated"]


class Example(Record):
    """One firing with the tokens around it, clipped at the borders of its document and window.

    A character whose bytes are split over tokens stands whole in the text of its first token. The
    others are empty, but where the feature fires they are their bytes as escapes; `ids` are always
    the model's own.
    """

    ids: list[int] = Field(description="token ids")
    texts: list[str] = Field(description="what each token reads as; same length as ids")
    acts: list[float] = Field(description="the feature's activation on each token; 0 where masked")
    peak: Count = Field(description="index of the firing in ids")
    act: float = Field(description="activation of the firing")
    document: int = Field(description="number of the document in its corpus")
    position: Count = Field(description="position of the firing in its window")
    row: int = Field(description="row in the store, or document * 2**20 + row of the text")
    answer: Answer | None = Field(None, description="TruthfulQA: which answer the text holds")


class Band(Record):
    """Firings between two quantiles of the activation; all bands hold equally many firings."""

    low: float = Field(description="lowest activation of the band, from the histogram")
    high: float = Field(description="highest activation of the band, from the histogram")
    examples: list[Count] = Field(description="indices into FeatureReport.examples")


class Histogram(Record):
    """Counts between consecutive edges: len(edges) == len(counts) + 1, or both empty."""

    edges: list[float]
    counts: list[Count]


class PositionBins(Record):
    """Firings beside the rows on which they could be, by position in the window.

    Bins grow by octaves (0, 1, 2-3, 4-7 and so on), so that counts alone would rise for every
    feature: `rates` are firings / rows of each bin. Bins hold all counted rows; empty when dead.
    """

    edges: list[Count] = Field(description="borders of the bins, one more than bins")
    counts: list[Count] = Field(description="firings")
    rows: list[Count] = Field(description="counted rows at these positions")
    rates: list[Share] = Field(description="firings / rows, 0 without rows")


class FiringToken(Record):
    """A token that a feature fires on. Counts are lower bounds, see FeatureReport.tokens_error."""

    id: int
    text: str
    count: Count = Field(description="firings on this token, at least")
    occurrences: Count = Field(description="counted rows that hold this token, exact")
    p_token_given_fires: Share
    p_fires_given_token: Share
    lift: float = Field(description="P(token | fires) / P(token)")


class LogitEntry(Record):
    """A token whose logit the feature's decoder direction changes."""

    id: int
    text: str
    logit: float


class Neighbour(Record):
    """A feature whose decoder direction is close."""

    feature: Count
    cosine: float
    cofires: Count | None = Field(None, description="counted rows on which both fire")


class FeatureReport(Record):
    """Everything known about one feature."""

    feature: Count
    rows: Count = Field(description="counted rows behind rate and firings")
    firings: Count
    rate: Share
    rate_low: Share = Field(description="lower 95 % bound (Wilson)")
    rate_high: Share = Field(description="upper 95 % bound: Wilson, 3 / rows when it never fired")
    windows: Count = Field(description="windows with at least one firing")
    windows_seen: Count
    max_act: float
    mean_act: float = Field(description="over firings")
    std_act: float = Field(description="over firings")
    telling: float = Field(description="how telling it is; lists begin with the highest")
    flags: list[Flag]
    examples: list[Example] = Field(description="each once; the lists below point into it")
    top: list[Count] = Field(description="strongest first, one for each window")
    uniform: list[Count] = Field(description="an exact uniform sample of the firings")
    weighted: list[Count] = Field(description="an exact sample weighted by the activation")
    bands: list[Band] = Field(description="strongest first")
    histogram: Histogram = Field(description="firings by activation, four bins an octave")
    positions: PositionBins = Field(description="firing rate by position in the window")
    tokens: list[FiringToken] = Field(description="by p log(lift), most telling first")
    tokens_error: Count = Field(description="each count is too small by at most this")
    promoted: list[LogitEntry] = Field(description="logit lens, most promoted first")
    suppressed: list[LogitEntry] = Field(description="logit lens, most suppressed first")
    neighbours: list[Neighbour] = Field(description="closest first")
    encoder_decoder_cosine: float | None


class FeatureShard(Record):
    """One file features/NNN.json: features first, first + 1, and so on."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    layer: Layer
    first: Count
    features: list[FeatureReport]


def shard_name(feature: int) -> str:
    """The file inside a layer's folder that holds `feature`.

    >>> shard_name(0), shard_name(511)
    ('features/000.json', 'features/001.json')
    """
    return f"features/{feature // SHARD_FEATURES:03d}.json"
