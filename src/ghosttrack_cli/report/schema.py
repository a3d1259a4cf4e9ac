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

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION: Final = 3
SHARD_FEATURES = 256
FLAGS = ("dead", "rare", "dense", "single-token", "position-bound", "duplicate")
"""Names of the flags; bit i of `FeatureIndex.flags` is FLAGS[i]."""

Flag = Literal["dead", "rare", "dense", "single-token", "position-bound", "duplicate"]
Answer = Literal["factual", "hallucinated"]
SettingValue = bool | int | float | str
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
SchemaVersion = Annotated[Literal[3], Field(alias="schema", description="version of the format")]


class Record(BaseModel):
    """A frozen part of a report; JSON keys are the field names, `schema_version` is `schema`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


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
    layer: Count
    first: Count
    features: list[FeatureReport]


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


class TokenActs(Record):
    """A stretch of text with the activation of one feature on each token."""

    ids: list[int]
    texts: list[str]
    acts: list[float] = Field(description="0 where masked")
    left_out: Count = Field(description="tokens of a long text that are not shown")


class AnswerPair(Record):
    """Both answers to one question, and the share of each answer's rows on which it fires."""

    question: Count = Field(description="number of the question, from 0")
    opening: TokenActs = Field(description="the question, without the beginning of text")
    factual: TokenActs
    hallucinated: TokenActs
    rate_factual: Share
    rate_hallucinated: Share


class ContrastEntry(Record):
    """How one feature fires on factual against hallucinated answers to the same questions."""

    feature: Count
    rate_factual: Share = Field(description="share of the factual answers' rows")
    rate_hallucinated: Share
    answers_factual: Count = Field(description="factual answers on which it fires at all")
    answers_hallucinated: Count
    more_factual: Count = Field(description="questions whose factual answer has the higher rate")
    more_hallucinated: Count
    effect: float = Field(description="(more_factual - more_hallucinated) / questions, -1 to 1")
    p_value: Share = Field(description="exact two-sided sign test over questions")
    p_corrected: Share = Field(description="Benjamini-Hochberg over the features tested")
    pairs: list[AnswerPair] = Field(
        [], description="of the first features: questions whose answers differ most in rate"
    )


class Contrast(Record):
    """Features that separate true from false, by corrected p-value, then size of the effect."""

    questions: Count
    rows_factual: Count
    rows_hallucinated: Count
    tested: Count = Field(description="features that fire on at least one answer")
    significant: Count = Field(description="tested features with p_corrected below 0.05")
    entries: list[ContrastEntry]


class ModelFacts(Record):
    """The language model behind the rows."""

    name: str
    revision: str | None = None
    weights_sha256: str | None = None
    n_layers: Count | None = None


class SAEFacts(Record):
    """The SAE that was interpreted."""

    folder: str = Field(description="name of the checkpoint folder")
    checkpoint: str = Field(description="best, final, or the folder's name")
    weights_sha256: str
    d_model: Count
    d_hidden: Count


class SourceFacts(Record):
    """The rows that were read."""

    kind: Literal["store", "truthfulqa", "corpus", "texts"]
    slug: str = Field(description="names the folder of the report: store, texts-notes-1f2e3d4c")
    name: str = Field(description="requested source: store, truthfulqa, wikipedia, a file name")
    corpus: str | None = Field(None, description="what a store was made from")
    texts: Count | None = Field(description="texts or documents read")
    windows: Count
    rows: Count
    context_length: Count
    truncated: Count = Field(description="answers cut at the context length")
    short: Count = Field(0, description="texts skipped: fewer than corpus.min_characters")
    blank: Count = Field(0, description="texts skipped: null or white space")
    replaced: Count = Field(0, description="texts with half a surrogate pair, read as U+FFFD")
    empty_files: Count = Field(0, description="files that hold no text")
    unanswered: Count = Field(0, description="questions skipped: no right or no wrong answer")
    duplicates: Count = Field(0, description="questions skipped: equal to another one")
    skipped_files: dict[str, Count] = Field(
        {}, description="files beside the text that are not read, by reason"
    )


class MaskCounts(Record):
    """Rows that statistics and metrics leave out; a row counts under the first that holds."""

    rows: Count
    position_0: Count
    special: Count
    outlier: Count
    outlier_limit: float | None = Field(description="largest norm kept; None: not applied")
    repeated: Count = Field(description="rows seen before, such as a question asked twice")
    kept: Count = Field(description="rows of the metrics")
    counted: Count = Field(description="kept rows that are not repeated: rows of the features")


class Metrics(Record):
    """Reconstruction metrics over `rows` rows; sums in float64."""

    rows: Count
    l0: float = Field(description="active features a row")
    l1: float = Field(description="sum of activations a row")
    fvu: float | None = Field(description="E|x - x'|^2 / (E|x|^2 - |E x|^2)")
    explained_variance: float | None = Field(description="1 - fvu")
    recon_loss: float | None = Field(description="E|x - x'|^2 / E|x|^2")
    mse: float | None = Field(description="mean squared error an element, raw units")
    cosine: float | None
    l2_ratio: float | None
    bias: float | None = Field(description="E|x'|^2 / E[x . x'], 1 is unbiased")


class Recovered(Record):
    """What the model loses when the SAE's reconstruction replaces the residual stream.

    ce_recovered = (ce_zero - ce_sae) / (ce_zero - ce_clean);
    kl_recovered = 1 - KL(clean | sae) / KL(clean | zero). Cross-entropies and KL in nats a token.
    """

    rows: Count = Field(description="positions with a target")
    spliced: Literal["kept", "all"] = Field(description="rows that were replaced")
    ce_clean: float
    ce_sae: float
    ce_zero: float
    ce_mean: float = Field(description="mean ablation")
    ce_recovered: float | None
    kl_sae: float
    kl_zero: float
    kl_mean: float
    kl_recovered: float | None


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
    layer: Count
    hook_point: Literal["resid_post"] = "resid_post"
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


class FileFacts(Record):
    """A file as it was written."""

    bytes: Count
    sha256: str


class LayerSummary(Record):
    """summary.json: what `status` shows, the fingerprint of what it was made from, and all files.

    With another fingerprint than the inputs have now, or other files, it has to be made anew.
    """

    schema_version: SchemaVersion = SCHEMA_VERSION
    layer: Count
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


def flag_bits(flags: list[Flag]) -> int:
    """The flags as one number: bit i stands for FLAGS[i].

    >>> flag_bits(["dead", "dense"])
    5
    """
    return sum(1 << FLAGS.index(flag) for flag in flags)


def flag_names(bits: int) -> list[str]:
    """The flags behind the bits of an index entry.

    >>> flag_names(5)
    ['dead', 'dense']
    """
    return [name for place, name in enumerate(FLAGS) if bits >> place & 1]


def shard_name(feature: int) -> str:
    """The file inside a layer's folder that holds `feature`.

    >>> shard_name(0), shard_name(511)
    ('features/000.json', 'features/001.json')
    """
    return f"features/{feature // SHARD_FEATURES:03d}.json"


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
