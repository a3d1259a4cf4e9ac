"""What kind of model a configuration describes, and which kinds have no residual stream to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

SUPPORTED = (
    "decoder-only language models are supported, such as GPT-2, Llama, Qwen, Gemma and Mistral; "
    "docs/models.md lists all types that were tested"
)
SEVERAL = "carries several residual streams side by side"
OTHERS = {
    "blt": "reads bytes in patches, whose sizes differ from text to text",
    "cpmant": "puts a prompt of its own before the text, and reads it in both directions",
    "deepseek_v4": SEVERAL,
    "gemma3n": SEVERAL,
    "gemma3n_text": SEVERAL,
    "gemma4_assistant": "drafts for another model, whose memory it needs",
    "gemma4_unified_assistant": "drafts for another model, whose memory it needs",
    "blip": "describes images, and has no text of its own",
    "blip-2": "describes images, and has no text of its own",
    "diffusion_gemma": "writes all tokens of a text at once, step by step",
    "git": "describes images, and has no text of its own",
    "hrm_text": "runs two groups of blocks again and again",
    "hy_v4": SEVERAL,
    "idefics": "reads no text without an image",
    "instructblip": "describes images, and has no text of its own",
    "instructblipvideo": "describes images, and has no text of its own",
    "kosmos-2": "reads no text without an image",
    "moshi": "speaks and listens in several streams of audio tokens",
    "musicgen": "writes music from the text that an encoder has read",
    "musicgen_melody": "writes music from the text that an encoder has read",
    "paligemma": "reads its text in both directions",
    "pi0": "moves robots, and has no text of its own",
    "qwen4_exp": SEVERAL,
    "qwen4_exp_text": SEVERAL,
    "trocr": "is the decoder of an encoder-decoder, which reads images",
    "xlm": "has no blocks: its layers are kept in separate lists",
    "xlnet": "predicts tokens in shuffled order, and reads text in both directions",
}
"""Types of `AutoModelForCausalLM` that are none, and why."""

ANOTHER_COUNT = {"longcat_flash": "num_layers"}
"""Configurations whose `num_hidden_layers` counts what the cache holds, several for a block."""


def check_kind(config: PreTrainedConfig) -> None:
    """Refuse a model that is no decoder-only language model, by what it is.

    Raises:
        ModelError: an encoder, an encoder-decoder or one of its halves, or another kind.
    """
    what = _other_kind(config)
    if what is not None:
        raise ModelError(
            f"not a decoder-only language model: {config.model_type} {what}", hint=SUPPORTED
        )


def check_language_model(config: PreTrainedConfig) -> None:
    """Refuse the configuration of anything but a decoder-only language model.

    Raises:
        ModelError: what it is instead.
    """
    check_kind(config)
    if not _gives_logits(config):
        raise _without_logits(config)


def _gives_logits(config: PreTrainedConfig) -> bool:
    from transformers.models.auto import modeling_auto as auto

    kind = config.model_type
    return (
        kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        or kind in auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    )


def _without_logits(config: PreTrainedConfig) -> ModelError:
    return ModelError(
        f"not a language model: transformers gives {config.model_type} no logits over tokens",
        hint=SUPPORTED,
    )


def _other_kind(config: PreTrainedConfig) -> str | None:
    from transformers.models.auto import modeling_auto as auto

    kind = str(config.model_type)
    if kind in OTHERS:
        return OTHERS[kind]
    pairs = auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    speech = auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES
    if config.is_encoder_decoder or ((kind in pairs or kind in speech) and not _has_text(config)):
        return "is an encoder-decoder: its decoder reads what an encoder has read"
    if kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES or kind == "bert-generation":
        return "is an encoder: it reads text in both directions"
    return None


def _has_text(config: PreTrainedConfig) -> bool:
    """Whether a language model of its own is inside."""
    return "text_config" in config.sub_configs


def text_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of the language model, which may lie inside that of a larger one."""
    inside: PreTrainedConfig = config.get_text_config(decoder=True)
    return inside


def layer_count_name(text: PreTrainedConfig) -> str:
    """What the configuration of a language model calls the number of its blocks."""
    return ANOTHER_COUNT.get(str(text.model_type), "num_hidden_layers")


def model_class(config: PreTrainedConfig) -> tuple[Any, PreTrainedConfig]:
    """The class that turns tokens into logits, and the configuration that it takes.

    Models that see or hear are loaded whole, and only read text.

    Raises:
        ModelError: transformers has no such class for this type.
    """
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    autos: tuple[Any, ...] = (AutoModelForCausalLM, AutoModelForImageTextToText)
    for auto in autos:
        found = auto._model_mapping.get(type(config), None)  # noqa: SLF001
        if found is not None:
            inside = config.sub_configs.get("text_config")
            takes_text = inside is not None and found.config_class is inside
            return found, text_config(config) if takes_text else config
    raise _without_logits(config)
