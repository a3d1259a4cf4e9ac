"""The model's own fast tokenizer."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from ghosttrack_cli.model.model_files import ModelSource

SENTENCEPIECE_FILES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
WITHOUT_SENTENCEPIECE = frozenset({"tokenizer.json", "vocab.json", "vocab.txt"})


def open_tokenizer(source: ModelSource) -> PreTrainedTokenizerFast:
    """Load the tokenizer whose files lie in the folder of `source`."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if not source.tokenizer_files():
        raise ModelError(
            f"no tokenizer: {source.name} has no tokenizer.json",
            hint="tokenizer.save_pretrained(DIR) writes it beside the model",
        )
    _require_sentencepiece(source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source.folder, local_files_only=True, trust_remote_code=False
        )
    # The Rust library raises bare Exception for a damaged tokenizer.json.
    except Exception as error:
        line = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        raise ModelError(f"cannot use the tokenizer: {source.folder}: {line}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(f"no fast tokenizer: {source.name} has only a slow one")
    return tokenizer


def _require_sentencepiece(source: ModelSource) -> None:
    """Say what helps where a SentencePiece model is all there is and nothing here can read it.

    transformers would take it for something else, or make a tokenizer without a vocabulary.
    """
    models = [name for name in SENTENCEPIECE_FILES if name in source.names]
    alone = models and not WITHOUT_SENTENCEPIECE.intersection(source.names)
    if alone and importlib.util.find_spec("sentencepiece") is None:
        raise ModelError(
            f"cannot use the tokenizer: {source.name} has {models[0]}, which SentencePiece has to "
            "read, and no tokenizer.json",
            hint="pip install sentencepiece protobuf, then the same command again",
        )


def special_token_ids(tokenizer: PreTrainedTokenizerFast) -> tuple[int, ...]:
    """Ids that stand for no text, in order."""
    marked = (number for number, token in tokenizer.added_tokens_decoder.items() if token.special)
    return tuple(sorted({*tokenizer.all_special_ids, *marked}))


def deciding_settings(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """What tokenizer_config.json changes of what tokenizer.json says: how windows open and end."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    parts = {name: backend.get(name) for name in ("normalizer", "pre_tokenizer", "added_tokens")}
    document = json.dumps(parts, sort_keys=True).encode()
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "splitting_sha256": hashlib.sha256(document).hexdigest(),
    }
