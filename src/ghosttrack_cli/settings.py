"""The typed settings that all commands share, and where each value came from.

Flags > `GHOSTTRACK_*` environment > `ghosttrack.toml` > preset > defaults. A stage gets its own
frozen section and never sees the rest.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ghosttrack_cli.quantities import expand_home, parse_amount

LOGGER_NAMES = ("tensorboard", "wandb")
Dtype = Literal["auto", "float32", "float16", "bfloat16"]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Amount = Annotated[int, BeforeValidator(parse_amount)]


def _path(value: object) -> object:
    return Path(expand_home(str(value))) if isinstance(value, str | Path) else value


def _logger_names(text: str) -> str:
    """The names without spaces, each once."""
    names = dict.fromkeys(name.strip() for name in text.split(","))
    if unknown := [name for name in names if name not in LOGGER_NAMES]:
        raise ValueError(f"no such logger: {unknown[0]!r}")
    return ",".join(names)


def _encoding(name: str) -> str:
    """The one name of an encoding that Python knows."""
    try:
        found = codecs.lookup(name)
        is_of_text = isinstance(found.incrementaldecoder().decode(b"", final=True), str)
    except (LookupError, TypeError, ValueError, AttributeError):
        is_of_text = False
    if not is_of_text:
        raise ValueError(f"no such encoding: {name!r}")
    return found.name


TextEncoding = Annotated[str, AfterValidator(_encoding)]
Loggers = Annotated[str, AfterValidator(_logger_names)]
SafePath = Annotated[Path, BeforeValidator(_path)]
NameOrPath = Annotated[str, AfterValidator(expand_home)]
"""A name, or a local path with its home folder: a name never begins with "~"."""


class Section(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ModelSettings(Section):
    """[model]: the language model."""

    name: NameOrPath = Field(
        "gpt2", min_length=1, description="hub id or local folder of a decoder-only model"
    )
    revision: str | None = Field(None, description="branch, tag or commit on the hub")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps")
    dtype: Dtype = Field(
        "auto", description="model precision; auto: bfloat16 on CUDA, otherwise float32"
    )


class CorpusSettings(Section):
    """[corpus]: the text."""

    source: NameOrPath = Field(
        "wikipedia",
        min_length=1,
        description="wikipedia, python-docs, a hub data set, .txt, .jsonl, .csv or .parquet files",
    )
    language: str = Field(
        "en", pattern=r"^[a-z][a-z0-9-]{0,15}$", description="language of wikipedia"
    )
    date: str = Field("20231101", pattern=r"^\d{8}$", description="date of the wikipedia dump")
    config: str | None = Field(None, description="configuration of another hub data set")
    split: str = Field("train", description="split of a hub data set")
    column: str = Field("text", min_length=1, description="column or JSON key that holds the text")
    encoding: TextEncoding | None = Field(
        None, description="of text files that are not UTF-8, UTF-16 or UTF-32, such as cp1252"
    )
    revision: str | None = Field(None, description="branch, tag or commit of the hub data set")
    min_characters: int = Field(100, ge=0, description="skip texts shorter than this")


class ExtractionSettings(Section):
    """[extraction]: text through the model into the store."""

    layers: str = Field(
        "middle", coerce_numbers_to_str=True, description="6, 0,6,11, 0-5, middle or all"
    )
    tokens: Amount = Field(1_000_000, description="tokens to store per layer: 250000, 300k, 1M")
    context_length: int | None = Field(
        None,
        ge=2,
        le=1_048_576,
        description="tokens per window; default: the model's maximum, up to 1024",
    )
    batch_size: int | None = Field(
        None, ge=1, le=65_536, description="windows per forward pass; default: automatic"
    )
    store_dtype: Dtype = Field(
        "auto", description="precision of stored activations; auto: the model's precision"
    )
    compress: Literal["none", "lz4", "zstd"] = Field(
        "none", description="chunk compression, with bitshuffle"
    )
    retry_minutes: Positive = Field(
        10.0, description="minutes to retry when the hub is unreachable"
    )


class SAESettings(Section):
    """[sae]: the sparse autoencoder."""

    d_model: int | None = Field(
        None, ge=1, description="width of the model; default: read from the store"
    )
    d_hidden: int = Field(4096, ge=1, le=4_194_304, description="number of features")
    threshold: float = Field(
        0.001, ge=0, allow_inf_nan=False, description="initial JumpReLU threshold"
    )
    bandwidth: Positive = Field(0.01, description="width of the straight-through estimator")
    sparsity: Literal["target", "l0", "l1", "tanh", "batchtopk"] = Field(
        "target",
        description="L0 held at target_l0; L0, L1 or tanh with fixed weight; or BatchTopK",
    )
    lambda_sparse: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="weight of the penalty; default: 1 for target, 0.01 for l1, else 0.001",
    )
    target_l0: Positive | None = Field(
        None,
        description="target number of active features per token; default: 75,"
        " or the middle of target_sparsity_min"
        " and _max where both are set",
    )


class SAETrainingSettings(Section):
    """[sae_training]: how the SAE is trained."""

    epochs: int = Field(20, ge=1, description="passes over the stored rows")
    batch_size: int = Field(4096, ge=1, le=4_194_304, description="rows per step")
    learning_rate: Positive | None = Field(
        None,
        description="peak learning rate of Adam; default: from target_l0,"
        " d_hidden, d_model and batch_size",
    )
    weight_decay: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="decoupled weight decay"
    )
    gradient_clip: Positive = Field(0.1, description="clip gradients to this global norm")
    target_recon_loss: Positive | None = Field(
        None,
        description="largest reconstruction loss that the checklist accepts;"
        " default: what is good at this L0 and width (docs/recipe.md)",
    )
    target_sparsity_min: Positive | None = Field(
        None,
        description="fewest active features per token that are accepted;"
        " default: two thirds of target_l0",
    )
    target_sparsity_max: Positive | None = Field(
        None,
        description="most active features per token that are accepted;"
        " default: four thirds of target_l0",
    )
    schedule: Literal["linear-decay", "cosine"] = Field(
        "linear-decay", description="constant with a linear decay at the end, or cosine annealing"
    )
    warmup_fraction: Fraction = Field(
        0.02, description="share of steps spent warming up the learning rate"
    )
    decay_fraction: Fraction = Field(
        0.5, description="share of steps in which linear-decay falls to 0"
    )
    sparsity_warmup_fraction: Fraction = Field(
        0.1, description="share of steps spent warming up lambda_sparse"
    )
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.05, description="share of documents held out for validation"
    )
    evaluations: int = Field(20, ge=1, description="evaluations on held-out rows during training")
    evaluation_rows: Amount | None = Field(
        None,
        description="held-out rows of an evaluation during training; by default an eighth of the"
        " rows trained on since the last one, at least 8,192 and at most 65,536",
    )
    patience: int | None = Field(
        None, ge=1, description="stop after this many evaluations without improvement"
    )
    revive_rows: Amount | None = Field(
        None,
        description="rows without a firing after which a feature's threshold falls;"
        " default: 40 d_hidden / target_l0",
    )
    max_dead_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9, description="stop training when more than this share of features is dead"
    )
    checkpoint_minutes: Positive = Field(5.0, description="minutes between checkpoints")
    checkpoint_steps: int | None = Field(
        None, ge=1, description="also save a checkpoint every N steps"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="random seed")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 or mps")
    layers_at_once: int | None = Field(
        None,
        ge=1,
        description="layers trained side by side on a CPU; default: two if cores and memory allow",
    )
    deterministic: bool = Field(
        False, description="bitwise reproducible training on a GPU (slower)"
    )
    log_to: Loggers | None = Field(
        None, description="also log metrics to: tensorboard, wandb or tensorboard,wandb"
    )


class InterpretationSettings(Section):
    """[interpretation]: what the features mean."""

    texts: NameOrPath = Field(
        "store",
        min_length=1,
        description="store, truthfulqa, wikipedia, or a .txt, .jsonl, .csv or .parquet file",
    )
    max_texts: int | None = Field(None, ge=1, description="maximum number of texts to read")
    max_tokens: Amount | None = Field(None, description="maximum number of tokens to read")
    checkpoint: Literal["best", "final"] = Field("best", description="SAE to use")
    top_examples: int = Field(10, ge=1, le=1000, description="examples to keep per feature")
    context_tokens: int = Field(
        16, ge=1, le=512, description="tokens of context on each side of an example"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="random seed for sampled examples")


class PathSettings(Section):
    """[paths]: where things lie."""

    workspace: SafePath = Field(
        Path("ghosttrack-data"), description="folder for activations, SAEs and reports"
    )
    cache_dir: SafePath | None = Field(
        None, description="cache of models and data sets; default: Hugging Face's own"
    )


class Settings(Section):
    """All settings of one run."""

    preset: Literal["recipe", "seed"] = Field(
        "recipe",
        description="defaults of [sae] and [sae_training]: recipe (measured) or seed (original)",
    )
    model: ModelSettings = ModelSettings()
    corpus: CorpusSettings = CorpusSettings()
    extraction: ExtractionSettings = ExtractionSettings()
    sae: SAESettings = SAESettings()
    sae_training: SAETrainingSettings = SAETrainingSettings()
    interpretation: InterpretationSettings = InterpretationSettings()
    paths: PathSettings = PathSettings()


SEED_PRESET = {
    "sae": {"threshold": 0.1, "sparsity": "l1", "lambda_sparse": 0.01},
    "sae_training": {
        "batch_size": 256,
        "learning_rate": 1e-4,
        "gradient_clip": 1.0,
        "schedule": "cosine",
        "warmup_fraction": 0.0,
        "sparsity_warmup_fraction": 0.0,
        "target_recon_loss": 0.01,
    },
}
