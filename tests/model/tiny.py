"""The smallest random model of a type: from its default configuration, shrunk by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

D, LAYERS, VOCABULARY = 32, 3, 99
MAX_PARAMETERS = 4_000_000
SIZES: dict[int, tuple[str, ...]] = {
    D: (
        "hidden_size", "n_embd", "d_model", "emb_dim", "embedding_dim", "word_embed_proj_dim",
        "embedding_size", "attention_hidden_size", "lru_width", "embed_dim", "out_hidden_size",
        "projection_dim", "text_hidden_size", "output_dim", "downsample_hidden_size",
        "alignment_intermediate_size",
    ),
    LAYERS: (
        "num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "depth",
        "num_blocks",
    ),
    VOCABULARY: ("vocab_size", "vocab_size_per_layer_input"),
    64: (
        "max_position_embeddings", "n_positions", "max_seq_len", "model_max_length",
        "max_target_positions", "n_ctx", "original_max_position_embeddings",
    ),
    48: (
        "intermediate_size", "ffn_dim", "dim_ff", "dff", "decoder_ffn_dim", "encoder_ffn_dim",
        "ffn_hidden_size", "d_inner", "mlp_dim", "feed_forward_size",
    ),
    16: (
        "moe_intermediate_size", "shared_expert_intermediate_size", "q_lora_rank",
        "attention_head_dim", "expert_ffn_hidden_size", "pronunciation_embed_dim",
        "shape_embed_dim", "output_channels",
    ),
    8: (
        "head_dim", "kv_lora_rank", "v_head_dim", "d_head", "dim_head", "sliding_window",
        "mamba_n_heads", "mamba_d_head", "mamba_chunk_size", "linear_key_head_dim",
        "linear_value_head_dim", "attention_window_size", "index_head_dim", "index_topk",
        "hidden_size_per_layer_input", "mamba_headdim", "mamba_num_heads", "mamba_head_dim",
        "chunk_size", "linear_head_dim", "laurel_rank",
    ),
    4: (
        "num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads",
        "decoder_attention_heads", "encoder_attention_heads", "num_experts", "n_routed_experts",
        "num_local_experts", "moe_num_experts", "qk_rope_head_dim", "qk_nope_head_dim",
        "rotary_dim", "mamba_d_state", "state_size", "linear_num_value_heads", "mamba_dt_rank",
        "ssm_state_size", "time_step_rank", "conv_kernel",
    ),
    2: (
        "num_key_value_heads", "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k",
        "linear_num_key_heads", "index_n_heads", "encoder_layers", "bos_token_id", "eos_token_id",
        "linear_num_heads",
    ),
    1: (
        "n_shared_experts", "num_shared_experts", "n_group", "topk_group", "num_expert_group",
        "mamba_n_groups", "mamba_ngroups", "n_groups", "pad_token_id",
    ),
}  # fmt: skip
SMALL = {name: size for size, names in SIZES.items() for name in names}
PATCHES = {"image_size": 32, "patch_size": 16, "crop_size": 32}
"""Of what sees: two by two patches."""

MROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}}
EXTRAS: dict[str, dict[str, Any]] = {
    "axk1": {"num_key_value_heads": 4, "head_dim": 4},
    "axk2": {"num_key_value_heads": 4},
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4,
                                               "mrope_section": [2, 1, 1]}},
    },
    "blt": {"encoder_hash_byte_group_vocab": 50},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0}},
    "deepseek_v3": {"num_key_value_heads": 4, "head_dim": 4},
    "deepseek_v32": {"num_key_value_heads": 4},
    "dots3_note_text": {"num_key_value_heads": 4, "per_layer_config": {}},
    "ernie4_5_moe": {"moe_k": 2},
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma3n_text": {"num_kv_shared_layers": 0, "layer_types": ["full_attention"] * LAYERS},
    "glm4v_moe_text": {
        "rope_parameters": MROPE["rope_parameters"]
        | {"partial_rotary_factor": 0.5, "mrope_section": [1, 1, 0]},
    },
    "glm4v_text": MROPE,
    "glm_ocr_text": MROPE,
    "glm_moe_dsa": {"num_key_value_heads": 4},
    "gpt_neo": {"attention_types": [[["global", "local", "global"], 1]]},
    "hunyuan_vl_text": {
        "rope_parameters": MROPE["rope_parameters"] | {"mrope_section": [1, 1, 1, 1]}
    },
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv"]},
    "longcat_flash": {"zero_expert_num": 2, "num_key_value_heads": 4, "head_dim": 4},
    "mamba2": {"head_dim": 16},
    "mistral_large4_text": {"num_key_value_heads": 4},
    "paddleocr_vl_text": MROPE,
    "qwen2_5_omni_text": MROPE,
    "qwen2_5_vl_text": MROPE,
    "qwen2_vl_text": MROPE,
    "reformer": {
        "is_decoder": True, "attn_layers": ["local", "lsh", "local"], "axial_pos_embds": False,
        "attention_head_size": 8,
    },
    "roc_bert": {"pronunciation_vocab_size": VOCABULARY, "shape_vocab_size": VOCABULARY},
    "xmod": {"default_language": "en_XX"},
    "youtu": {"num_key_value_heads": 4, "head_dim": 4},
    "zamba": {
        "layers_block_type": ["linear_attention", "hybrid", "hybrid"], "attention_hidden_size": 64,
        "num_key_value_heads": 4,
    },
    "zamba2": {
        "layers_block_type": ["linear_attention", "hybrid", "hybrid"], "attention_hidden_size": 64,
        "num_key_value_heads": 4, "n_mamba_heads": 8,
    },
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip


def tiny_config(model_type: str, **changes: Any) -> PreTrainedConfig:
    """The configuration of a model of `model_type` with three blocks, as small as it may be."""
    from transformers import AutoConfig

    base = AutoConfig.for_model(model_type)
    return AutoConfig.for_model(model_type, **_merged(_shrunk(base), changes))


def _merged(small: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    inside = {
        name: _merged(small[name], value)
        for name, value in changes.items()
        if isinstance(value, dict) and isinstance(small.get(name), dict)
    }
    return small | changes | inside


def _shrunk(config: PreTrainedConfig) -> dict[str, Any]:
    """The values to shrink in `config` and in the configurations inside it."""
    found = config.to_dict()
    small: dict[str, Any] = {name: size for name, size in SMALL.items() if name in found}
    if found.get("image_size") is not None:
        small |= {name: size for name, size in PATCHES.items() if name in found}
    for name in config.sub_configs:
        part = getattr(config, name)
        if part is not None:
            small[name] = _shrunk(part) | {"model_type": part.model_type}
    return small | EXTRAS.get(config.model_type, {})


def tiny_model(model_type: str, **changes: Any) -> PreTrainedModel:
    """A random model of `model_type` in which every weight has an effect.

    Raises:
        ValueError: it would not be small.
    """
    import torch

    from ghosttrack_cli.model.kinds import model_class

    found, config = model_class(tiny_config(model_type, **changes))
    make: Any = found._from_config
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in make(config).parameters())
    if size > MAX_PARAMETERS:
        raise ValueError(f"{model_type}: {size:,} parameters are not small")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: PreTrainedModel = make(config)
    model.train(mode=False)
    return model
