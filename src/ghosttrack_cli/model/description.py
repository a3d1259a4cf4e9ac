"""What a model is, read from its configuration alone: enough for a plan, no weights loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, ModelError
from ghosttrack_cli.model.kinds import check_language_model, layer_count_name, text_config
from ghosttrack_cli.model.model_files import MAX_SMALL_FILE
from ghosttrack_cli.model.source import weight_bytes
from ghosttrack_cli.model.unused import check_adapter

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedConfig

    from ghosttrack_cli.model.model_files import ModelSource

MAX_LAYERS = 2048
MAX_WIDTH = 2**20
MAX_VOCABULARY = 2**24
UNLIMITED_CONTEXT = 2**20
MIN_CONTEXT = 2
UNUSABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What transformers raises for configurations that it cannot make a model of."""
CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "model_max_length")


@dataclass(frozen=True)
class ModelDescription:
    """A model's measures.

    `weight_bytes` is the size of the weight files, `download_bytes` what of it is not here yet.
    """

    name: str
    revision: str | None
    architecture: str
    n_layers: int
    d_model: int
    vocab_size: int
    max_context: int
    weight_bytes: int
    download_bytes: int


def describe(source: ModelSource, config: PreTrainedConfig) -> ModelDescription:
    """The measures of a model whose small files are here.

    Raises:
        ModelError: its configuration lacks one of them, or has one that cannot be.
    """
    text = text_config(config)
    total, absent = weight_bytes(source)
    return ModelDescription(
        name=source.name,
        revision=source.revision,
        architecture=str(config.model_type),
        n_layers=_measure(text, layer_count_name(text), MAX_LAYERS, source),
        d_model=_measure(text, "hidden_size", MAX_WIDTH, source),
        vocab_size=_measure(text, "vocab_size", MAX_VOCABULARY, source),
        max_context=_max_context(text, source),
        weight_bytes=total,
        download_bytes=absent,
    )


def read_config(source: ModelSource) -> PreTrainedConfig:
    """The transformers configuration of `source`; code that comes with a model is never run."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, PreTrainedConfig

    document = _read_document(source.config)
    try:
        config = AutoConfig.from_pretrained(
            source.folder, local_files_only=True, trust_remote_code=False
        )
    except (StrictDataclassError, *UNUSABLE) as error:
        kind = str(document.get("model_type"))[:60]
        raise ModelError(
            f"cannot use the configuration: {source.config}: model_type {kind!r}: "
            f"{first_line(error)}",
            hint="use a model that transformers supports itself; a model's own code is never run",
        ) from error
    assert isinstance(config, PreTrainedConfig)
    check_adapter(source)
    check_language_model(config)
    if _is_quantized(document):
        raise ModelError(
            f"quantised weights are not supported: {source.name}",
            hint="use the unquantised release of the model",
        )
    return config


def _is_quantized(document: dict[str, Any]) -> bool:
    """Whether the configuration, or that of a part, says how its weights were quantised."""
    parts = [document, *(part for part in document.values() if isinstance(part, dict))]
    return any(part.get("quantization_config") is not None for part in parts)


def _read_document(path: Path) -> dict[str, Any]:
    try:
        return files.read_json(path, limit=MAX_SMALL_FILE, foreign=True)
    except CorruptionError as error:
        raise ModelError(f"configuration {error.what}") from error


def _measure(config: PreTrainedConfig, name: str, limit: int, source: ModelSource) -> int:
    value = getattr(config, name, None)
    if not isinstance(value, int) or not 1 <= value <= limit:
        raise ModelError(
            f"cannot use the configuration: {source.config}: {name} is {value!r}, "
            f"must be 1 to {limit:,}"
        )
    return value


def _max_context(text: PreTrainedConfig, source: ModelSource) -> int:
    """Tokens a window may have; recurrent models and those with ALiBi name no limit."""
    limits = (getattr(text, name, None) for name in CONTEXT_NAMES)
    limit = next((one for one in limits if isinstance(one, int) and one > 0), UNLIMITED_CONTEXT)
    if limit < MIN_CONTEXT:
        raise ModelError(
            f"cannot use the configuration: {source.config}: the model reads {limit} token "
            f"at a time, windows have at least {MIN_CONTEXT}"
        )
    return limit


def first_line(error: Exception) -> str:
    """What an error says, in one line; its name if it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
