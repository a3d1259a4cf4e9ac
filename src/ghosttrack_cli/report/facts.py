"""What a report says of its inputs and of the SAE as a whole: model, SAE, rows, metrics."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ghosttrack_cli.report.record import Count, Record


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


class FileFacts(Record):
    """A file as it was written."""

    bytes: Count
    sha256: str
