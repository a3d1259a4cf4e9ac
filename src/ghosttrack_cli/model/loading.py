"""From settings to a model in memory: find, check, fetch, load, identify."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.model.description import describe, read_config
from ghosttrack_cli.model.identity import identify
from ghosttrack_cli.model.source import fetch_weights, find_source
from ghosttrack_cli.model.tokenizer import open_tokenizer, special_token_ids
from ghosttrack_cli.model.weights import load_model
from ghosttrack_cli.runtime import keep_freed_memory, resolve_device, resolve_dtype

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from ghosttrack_cli.model.description import ModelDescription
    from ghosttrack_cli.model.identity import ModelIdentity
    from ghosttrack_cli.settings import ModelSettings


@dataclass(frozen=True)
class LoadedModel:
    """What a ResidualModel is made of; `max_context` is the most tokens in one window."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    identity: ModelIdentity
    max_context: int


def load_parts(settings: ModelSettings, cache_dir: Path | None = None) -> LoadedModel:
    """Load model and tokenizer onto the device that `settings` asks for.

    Raises:
        UsageError, HubError, ModelError: as `ResidualModel.load`.
    """
    device = resolve_device(settings.device)
    if device.type == "cpu":
        keep_freed_memory()  # before any thread begins that runs the model
    dtype = resolve_dtype(settings.dtype, device)
    source = find_source(settings, cache_dir)
    description = describe(source)
    tokenizer = open_tokenizer(source)
    _check_tokenizer(tokenizer, description)
    fetch_weights(source, cache_dir)
    model: Any = load_model(source, read_config(source), dtype)
    identity = identify(source, description.architecture, special_token_ids(tokenizer))
    return LoadedModel(model.to(device), tokenizer, identity, description.max_context)


def identify_model(settings: ModelSettings, cache_dir: Path | None = None) -> ModelIdentity:
    """The identity that `load_parts` would give, without loading the model into memory."""
    source = find_source(settings, cache_dir)
    special = special_token_ids(open_tokenizer(source))
    fetch_weights(source, cache_dir)
    return identify(source, describe(source).architecture, special)


def _check_tokenizer(tokenizer: PreTrainedTokenizerFast, description: ModelDescription) -> None:
    if len(tokenizer) > description.vocab_size:
        raise ModelError(
            f"tokenizer does not fit: {description.name} has {len(tokenizer):,} tokens "
            f"and embeddings for {description.vocab_size:,}"
        )
