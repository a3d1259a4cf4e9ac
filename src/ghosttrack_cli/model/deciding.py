"""What of a model's configuration decides its rows, to be compared field by field."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.model.kinds import text_config

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

IRRELEVANT = frozenset(
    {
        "_name_or_path",
        "architectures",
        "auto_map",
        "chunk_size_feed_forward",
        "dtype",  # that of the files; what the model computes in is a setting
        "id2label",
        "label2id",
        "initializer_range",
        "layerdrop",
        "num_labels",
        "num_logits_to_keep",
        "pretraining_tp",
        "problem_type",
        "return_dict",
        "router_aux_loss_coef",
        "task_specific_params",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)
"""Fields of files, of training, of generation and of other tasks."""
PREFIXES = ("output_", "summary_", "classifier_")
SUFFIXES = ("_token_id", "dropout", "pdrop", "_dropout_prob", "_loss_coef")


def deciding_config(config: PreTrainedConfig) -> dict[str, Any]:
    """The fields of the language model's configuration, defaults included, that decide its values.

    What sees or hears beside it is left out: only text is read.
    """
    text = text_config(config)
    fields = {name: _plain(value) for name, value in text.to_dict().items() if _decides(name)}
    return fields | {
        "tie_word_embeddings": bool(getattr(config, "tie_word_embeddings", False)),
        "attn_implementation": getattr(text, "_attn_implementation", None),
    }


def _decides(name: str) -> bool:
    return not (name in IRRELEVANT or name.startswith(PREFIXES) or name.endswith(SUFFIXES))


def _plain(value: Any) -> Any:
    """`value` as JSON gives it back, without infinities."""
    return json.loads(json.dumps(_finite(value), default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
