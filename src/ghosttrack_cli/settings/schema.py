"""The typed settings that all commands share, and where each value came from.

Flags > `GHOSTTRACK_*` environment > `ghosttrack.toml` > preset > defaults. A stage gets its own
frozen section and never sees the rest.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ghosttrack_cli.penalties import PENALTIES
from ghosttrack_cli.quantities import expand_home, parse_amount
from ghosttrack_cli.settings.catalogue import CATALOGUE, LOGGER_NAMES
from ghosttrack_cli.site import parse_points

Dtype = Literal["auto", "float32", "float16", "bfloat16"]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
if TYPE_CHECKING:
    Sparsity = str
else:
    Sparsity = Literal[tuple(PENALTIES)]
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


def _points(text: str) -> str:
    """The hook points without spaces, each once, in their order."""
    return ",".join(parse_points(text))


Points = Annotated[str, AfterValidator(_points)]
TextEncoding = Annotated[str, AfterValidator(_encoding)]
Loggers = Annotated[str, AfterValidator(_logger_names)]
SafePath = Annotated[Path, BeforeValidator(_path)]
NameOrPath = Annotated[str, AfterValidator(expand_home)]
"""A name, or a local path with its home folder: a name never begins with "~"."""


def setting(key: str, **constraints: Any) -> Any:
    """A field with the default and the description that the catalogue has for `key`."""
    known = CATALOGUE[key]
    return Field(known.default, description=known.description, **constraints)


def _preset(name: object) -> object:
    """The name of a preset; an earlier version called the original one "seed"."""
    return "original" if name == "seed" else name


class Section(BaseModel):
    """A frozen group of settings; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ModelSettings(Section):
    """[model]: the language model."""

    name: NameOrPath = setting("model.name", min_length=1)
    revision: str | None = setting("model.revision")
    device: str = setting("model.device")
    dtype: Dtype = setting("model.dtype")


class CorpusSettings(Section):
    """[corpus]: the text."""

    source: NameOrPath = setting("corpus.source", min_length=1)
    language: str = setting("corpus.language", pattern=r"^[a-z][a-z0-9-]{0,15}$")
    date: str = setting("corpus.date", pattern=r"^\d{8}$")
    config: str | None = setting("corpus.config")
    split: str = setting("corpus.split")
    column: str = setting("corpus.column", min_length=1)
    encoding: TextEncoding | None = setting("corpus.encoding")
    revision: str | None = setting("corpus.revision")
    min_characters: int = setting("corpus.min_characters", ge=0)


class ExtractionSettings(Section):
    """[extraction]: text through the model into the store."""

    layers: str = setting("extraction.layers", coerce_numbers_to_str=True)
    hook: Points = setting("extraction.hook")
    tokens: Amount = setting("extraction.tokens")
    context_length: int | None = setting("extraction.context_length", ge=2, le=1_048_576)
    batch_size: int | None = setting("extraction.batch_size", ge=1, le=65_536)
    store_dtype: Dtype = setting("extraction.store_dtype")
    compress: Literal["none", "lz4", "zstd"] = setting("extraction.compress")
    retry_minutes: Positive = setting("extraction.retry_minutes")


class SAESettings(Section):
    """[sae]: the sparse autoencoder."""

    d_model: int | None = setting("sae.d_model", ge=1)
    d_hidden: int = setting("sae.d_hidden", ge=1, le=4_194_304)
    threshold: float = setting("sae.threshold", ge=0, allow_inf_nan=False)
    bandwidth: Positive = setting("sae.bandwidth")
    sparsity: Sparsity = setting("sae.sparsity")
    lambda_sparse: float | None = setting("sae.lambda_sparse", ge=0, allow_inf_nan=False)
    target_l0: Positive | None = setting("sae.target_l0")


class SAETrainingSettings(Section):
    """[sae_training]: how the SAE is trained."""

    epochs: int = setting("sae_training.epochs", ge=1)
    batch_size: int = setting("sae_training.batch_size", ge=1, le=4_194_304)
    learning_rate: Positive | None = setting("sae_training.learning_rate")
    weight_decay: float = setting("sae_training.weight_decay", ge=0, allow_inf_nan=False)
    gradient_clip: Positive = setting("sae_training.gradient_clip")
    target_recon_loss: Positive | None = setting("sae_training.target_recon_loss")
    target_sparsity_min: Positive | None = setting("sae_training.target_sparsity_min")
    target_sparsity_max: Positive | None = setting("sae_training.target_sparsity_max")
    schedule: Literal["linear-decay", "cosine"] = setting("sae_training.schedule")
    warmup_fraction: Fraction = setting("sae_training.warmup_fraction")
    decay_fraction: Fraction = setting("sae_training.decay_fraction")
    sparsity_warmup_fraction: Fraction = setting("sae_training.sparsity_warmup_fraction")
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = setting("sae_training.val_fraction")
    evaluations: int = setting("sae_training.evaluations", ge=1)
    evaluation_rows: Amount | None = setting("sae_training.evaluation_rows")
    patience: int | None = setting("sae_training.patience", ge=1)
    revive_rows: Amount | None = setting("sae_training.revive_rows")
    max_dead_fraction: Annotated[float, Field(gt=0, le=1)] = setting(
        "sae_training.max_dead_fraction"
    )
    checkpoint_minutes: Positive = setting("sae_training.checkpoint_minutes")
    checkpoint_steps: int | None = setting("sae_training.checkpoint_steps", ge=1)
    seed: int = setting("sae_training.seed", ge=0, lt=2**63)
    device: str = setting("sae_training.device")
    layers_at_once: int | None = setting("sae_training.layers_at_once", ge=1)
    deterministic: bool = setting("sae_training.deterministic")
    log_to: Loggers | None = setting("sae_training.log_to")


class InterpretationSettings(Section):
    """[interpretation]: what the features mean."""

    texts: NameOrPath = setting("interpretation.texts", min_length=1)
    max_texts: int | None = setting("interpretation.max_texts", ge=1)
    max_tokens: Amount | None = setting("interpretation.max_tokens")
    checkpoint: Literal["best", "final"] = setting("interpretation.checkpoint")
    top_examples: int = setting("interpretation.top_examples", ge=1, le=1000)
    context_tokens: int = setting("interpretation.context_tokens", ge=1, le=512)
    seed: int = setting("interpretation.seed", ge=0, lt=2**63)


class PathSettings(Section):
    """[paths]: where things lie."""

    workspace: SafePath = setting("paths.workspace")
    cache_dir: SafePath | None = setting("paths.cache_dir")


class Settings(Section):
    """All settings of one run, frozen: a section for each stage.

    `ghosttrack.toml` lists every key with its meaning and default.

    Example:
        >>> load_settings(overrides={"sae": {"d_hidden": 8192}}).sae.d_hidden
        8192
    """

    preset: Annotated[Literal["recipe", "original"], BeforeValidator(_preset)] = setting("preset")
    model: ModelSettings = ModelSettings()
    corpus: CorpusSettings = CorpusSettings()
    extraction: ExtractionSettings = ExtractionSettings()
    sae: SAESettings = SAESettings()
    sae_training: SAETrainingSettings = SAETrainingSettings()
    interpretation: InterpretationSettings = InterpretationSettings()
    paths: PathSettings = PathSettings()


ORIGINAL_PRESET = {
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
