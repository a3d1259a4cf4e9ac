"""From a model that was found to one in memory: check, fetch, load, identify."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.machine.memory import keep_freed_memory
from ghosttrack_cli.model.identity import identify
from ghosttrack_cli.model.source import fetch_weights
from ghosttrack_cli.model.tokenizer import open_tokenizer, special_token_ids
from ghosttrack_cli.model.weights import load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from ghosttrack_cli.model.description import ModelDescription
    from ghosttrack_cli.model.found import FoundModel
    from ghosttrack_cli.model.identity import ModelIdentity


@dataclass(frozen=True)
class LoadedModel:
    """What a ResidualModel is made of; `max_context` is the most tokens in one window."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    identity: ModelIdentity
    max_context: int
    notices: tuple[str, ...] = ()
    """what a user should know about how the model was loaded"""


def load_parts(found: FoundModel) -> LoadedModel:
    """Load model and tokenizer onto the device that was asked for.

    Raises:
        HubError, ModelError: as `ResidualModel.load`.
    """
    if found.device.type == "cpu":
        keep_freed_memory()  # before any thread begins that runs the model
    tokenizer = open_tokenizer(found.source)
    _check_tokenizer(tokenizer, found.description)
    fetch_weights(found.source, found.cache_dir)
    model: Any
    model, notices = load_model(found.source, found.config, found.dtype)
    return LoadedModel(
        model.to(found.device),
        tokenizer,
        identify(found.source, found.config, tokenizer),
        found.description.max_context,
        (*notices, *_surplus(tokenizer, found.description)),
    )


def identify_model(found: FoundModel) -> ModelIdentity:
    """The identity that `load_parts` would give, without loading the model into memory."""
    tokenizer = open_tokenizer(found.source)
    fetch_weights(found.source, found.cache_dir)
    return identify(found.source, found.config, tokenizer)


def _check_tokenizer(tokenizer: PreTrainedTokenizerFast, description: ModelDescription) -> None:
    """Special tokens may lie beyond the embeddings, as Gemma 3's image token: no text has them."""
    special = set(special_token_ids(tokenizer))
    vocabulary = tokenizer.get_vocab()
    beyond = [
        token
        for token, number in vocabulary.items()
        if number >= description.vocab_size and number not in special
    ]
    opening = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    if beyond or any(one is not None and one >= description.vocab_size for one in opening):
        raise ModelError(
            f"tokenizer does not match the model: {description.name} has "
            f"{max(vocabulary.values()) + 1:,} tokens and embeddings for "
            f"{description.vocab_size:,}",
            hint="use the tokenizer that the model was trained with, or resize the embeddings: "
            "model.resize_token_embeddings(len(tokenizer)), then save both again",
        )


def _surplus(tokenizer: PreTrainedTokenizerFast, description: ModelDescription) -> tuple[str, ...]:
    beyond = [
        token for token, number in tokenizer.get_vocab().items() if number >= description.vocab_size
    ]
    if not beyond:
        return ()
    return (f"the model has no embedding for {len(beyond):,} special tokens: {beyond[0]}",)
