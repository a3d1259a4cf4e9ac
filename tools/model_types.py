"""Every model type of transformers and what GhostTrack does with it: the table of docs/models.md.

tests/model/test_architectures.py builds a tiny random model of each type and compares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FULL = "yes"
NO_LENS = "without what features promote: "
REFUSED = "no: "
UNBUILT = "not tested"
"""No tiny one could be made: its default configuration is incomplete, or wants another package."""

HEAD = """# Models

GhostTrack reads the residual stream of decoder-only language models that transformers itself
supports, from safetensors weights. Code that comes with a model is never run, and quantised
weights are refused. The type of a model is `model_type` in its `config.json`.

This page is written from a test: for each type that transformers knows, it builds a tiny random
model and compares GhostTrack with the plain model. The rows must be what its blocks return and
what transformers calls hidden states; a stream that is put back must change nothing, and that of
another text must give that text's logits; the tokens that a direction promotes must be those that
the model's own head promotes when the residual stream is nudged along it.

Whatever the type, a model is looked at when it is loaded: its blocks must run once each, in order,
pass one stream on, and read no token that is still to come. What features promote is measured by
running the model's own head, and left out, with a note in the terminal, the report and the page,
where a norm and an output projection do not explain it."""
HOOKS = """`resid_pre`, `attn_out`, `resid_mid`, `mlp_in`, `mlp_out` and `resid_post` of every
block. They are found by running the model once: two modules whose outputs and the stream before the
block add up to the stream after it are its attention and its MLP. Compared here on other texts: the
sums, that a changed row reaches others by attention alone, and that values put back change nothing.
A model without one of them says which it has. `attn_out` is what attention, or what stands in its
place (Mamba, a recurrence), adds to the stream. Not all of them:"""
SEEING = """Loaded whole; only text is read. Rows, splicing and what features promote"""
NOT_TESTED = (
    """No tiny one could be made here. They are looked at when they are loaded, as any other"""
)

LANGUAGE_MODELS: dict[str, str] = {
    "afmoe": FULL,
    "apertus": FULL,
    "arcee": FULL,
    "aria_text": FULL,
    "axk1": FULL,
    "axk2": FULL,
    "bailing_hybrid": FULL,
    "bamba": FULL,
    "bart": REFUSED + "is an encoder-decoder: its decoder reads what an encoder has read",
    "beam": FULL,
    "bert": REFUSED + "is an encoder: it reads text in both directions",
    "bert-generation": REFUSED + "is an encoder: it reads text in both directions",
    "big_bird": REFUSED + "is an encoder: it reads text in both directions",
    "bigbird_pegasus": REFUSED
    + "is an encoder-decoder: its decoder reads what an encoder has read",
    "biogpt": FULL,
    "bitnet": FULL,
    "blenderbot": REFUSED + "is an encoder-decoder: its decoder reads what an encoder has read",
    "blenderbot-small": REFUSED
    + "is an encoder-decoder: its decoder reads what an encoder has read",
    "bloom": FULL,
    "blt": REFUSED + "reads bytes in patches, whose sizes differ from text to text",
    "camembert": REFUSED + "is an encoder: it reads text in both directions",
    "codegen": FULL,
    "cohere": FULL,
    "cohere2": FULL,
    "cohere2_moe": FULL,
    "cohere_compass_text": FULL,
    "cpmant": REFUSED + "puts a prompt of its own before the text, and reads it in both directions",
    "ctrl": FULL,
    "cwm": FULL,
    "data2vec-text": REFUSED + "is an encoder: it reads text in both directions",
    "dbrx": FULL,
    "deepseek_v2": FULL,
    "deepseek_v3": FULL,
    "deepseek_v32": FULL,
    "deepseek_v4": REFUSED + "carries several residual streams side by side",
    "diffllama": FULL,
    "doge": FULL,
    "dots1": FULL,
    "dots3_note": UNBUILT,
    "dots3_note_text": FULL,
    "electra": REFUSED + "is an encoder: it reads text in both directions",
    "emu3": FULL,
    "ernie": REFUSED + "is an encoder: it reads text in both directions",
    "ernie4_5": FULL,
    "ernie4_5_moe": FULL,
    "exaone4": FULL,
    "exaone_moe": FULL,
    "falcon": FULL,
    "falcon_h1": FULL,
    "falcon_mamba": FULL,
    "flex_olmo": FULL,
    "flint": FULL,
    "fuyu": FULL,
    "gemma": FULL,
    "gemma2": FULL,
    "gemma3": FULL,
    "gemma3_text": FULL,
    "gemma3n": REFUSED + "carries several residual streams side by side",
    "gemma3n_text": REFUSED + "carries several residual streams side by side",
    "gemma4": FULL,
    "gemma4_assistant": REFUSED + "drafts for another model, whose memory it needs",
    "gemma4_text": FULL,
    "gemma4_unified": FULL,
    "gemma4_unified_assistant": REFUSED + "drafts for another model, whose memory it needs",
    "gemma4_unified_text": FULL,
    "git": REFUSED + "describes images, and has no text of its own",
    "glm": FULL,
    "glm4": FULL,
    "glm4_moe": FULL,
    "glm4_moe_lite": FULL,
    "glm_moe_dsa": FULL,
    "got_ocr2": FULL,
    "gpt-sw3": FULL,
    "gpt2": FULL,
    "gpt_bigcode": FULL,
    "gpt_neo": FULL,
    "gpt_neox": FULL,
    "gpt_neox_japanese": FULL,
    "gpt_oss": FULL,
    "gptj": FULL,
    "granite": FULL,
    "granite_swa": FULL,
    "granitemoe": FULL,
    "granitemoe_swa": FULL,
    "granitemoehybrid": FULL,
    "granitemoeshared": FULL,
    "helium": FULL,
    "hrm_text": REFUSED + "runs two groups of blocks again and again",
    "hunyuan_v1_dense": FULL,
    "hunyuan_v1_moe": FULL,
    "hy_v3": FULL,
    "hy_v4": REFUSED + "carries several residual streams side by side",
    "hyperclovax": FULL,
    "inkling2_text": NO_LENS + "there is more than a norm between its last block and its logits",
    "inkling_text": FULL,
    "internlm3": FULL,
    "iquestcoder": FULL,
    "jais2": FULL,
    "jamba": FULL,
    "jetmoe": FULL,
    "kimi_linear": FULL,
    "kolibri1": FULL,
    "laguna": FULL,
    "lfm2": FULL,
    "lfm2_moe": FULL,
    "lfm3": FULL,
    "llama": FULL,
    "llama4": FULL,
    "llama4_text": FULL,
    "longcat_flash": FULL,
    "mamba": FULL,
    "mamba2": FULL,
    "marian": REFUSED + "is an encoder-decoder: its decoder reads what an encoder has read",
    "mbart": REFUSED + "is an encoder-decoder: its decoder reads what an encoder has read",
    "megatron-bert": REFUSED + "is an encoder: it reads text in both directions",
    "mellum": FULL,
    "mimo_v2_flash": FULL,
    "minicpm3": FULL,
    "minimax": FULL,
    "minimax_m2": FULL,
    "minimax_m3_vl_text": FULL,
    "ministral": FULL,
    "ministral3": FULL,
    "mistral": FULL,
    "mixtral": FULL,
    "mllama": FULL,
    "modernbert-decoder": NO_LENS
    + "there is more than a norm between its last block and its logits",
    "moshi": REFUSED + "speaks and listens in several streams of audio tokens",
    "moss_transcribe_diarize": FULL,
    "mpt": FULL,
    "musicgen": REFUSED + "writes music from the text that an encoder has read",
    "musicgen_melody": REFUSED + "writes music from the text that an encoder has read",
    "mvp": REFUSED + "is an encoder-decoder: its decoder reads what an encoder has read",
    "nanochat": FULL,
    "nemotron": FULL,
    "nemotron_h": FULL,
    "olmo": FULL,
    "olmo2": FULL,
    "olmo3": FULL,
    "olmo_hybrid": FULL,
    "olmoe": FULL,
    "openai-gpt": FULL,
    "opt": FULL,
    "pegasus": REFUSED + "is an encoder-decoder: its decoder reads what an encoder has read",
    "persimmon": FULL,
    "phi": FULL,
    "phi3": FULL,
    "phi4_multimodal": FULL,
    "phimoe": FULL,
    "plbart": REFUSED + "is an encoder-decoder: its decoder reads what an encoder has read",
    "prophetnet": REFUSED + "is an encoder-decoder: its decoder reads what an encoder has read",
    "qwen2": FULL,
    "qwen2_moe": FULL,
    "qwen3": FULL,
    "qwen3_5": FULL,
    "qwen3_5_moe": FULL,
    "qwen3_5_moe_text": FULL,
    "qwen3_5_text": FULL,
    "qwen3_moe": FULL,
    "qwen3_next": FULL,
    "qwen4_exp": REFUSED + "carries several residual streams side by side",
    "qwen4_exp_text": REFUSED + "carries several residual streams side by side",
    "recurrent_gemma": FULL,
    "reformer": REFUSED + "is an encoder: it reads text in both directions",
    "rembert": REFUSED + "is an encoder: it reads text in both directions",
    "roberta": REFUSED + "is an encoder: it reads text in both directions",
    "roberta-prelayernorm": REFUSED + "is an encoder: it reads text in both directions",
    "roc_bert": REFUSED + "is an encoder: it reads text in both directions",
    "roformer": REFUSED + "is an encoder: it reads text in both directions",
    "rwkv": FULL,
    "seed_oss": FULL,
    "smollm3": FULL,
    "solar_open": FULL,
    "stablelm": FULL,
    "starcoder2": FULL,
    "trocr": REFUSED + "is the decoder of an encoder-decoder, which reads images",
    "vaultgemma": FULL,
    "whisper": REFUSED + "is an encoder-decoder: its decoder reads what an encoder has read",
    "xglm": FULL,
    "xlm": REFUSED + "has no blocks: its layers are kept in separate lists",
    "xlm-roberta": REFUSED + "is an encoder: it reads text in both directions",
    "xlm-roberta-xl": REFUSED + "is an encoder: it reads text in both directions",
    "xlnet": REFUSED + "predicts tokens in shuffled order, and reads text in both directions",
    "xlstm": FULL,
    "xmod": REFUSED + "is an encoder: it reads text in both directions",
    "youtu": FULL,
    "zamba": FULL,
    "zamba2": FULL,
    "zaya": FULL,
}
"""What AutoModelForCausalLM knows."""

SEEING_MODELS: dict[str, str] = {
    "aria": FULL,
    "aya_vision": FULL,
    "blip": REFUSED + "describes images, and has no text of its own",
    "blip-2": REFUSED + "describes images, and has no text of its own",
    "chameleon": UNBUILT,
    "cohere2_vision": FULL,
    "cohere_compass": FULL,
    "cosmos3_edge": UNBUILT,
    "cosmos3_omni": FULL,
    "deepseek_ocr2": UNBUILT,
    "deepseek_vl": FULL,
    "deepseek_vl_hybrid": FULL,
    "diffusion_gemma": REFUSED + "writes all tokens of a text at once, step by step",
    "ernie4_5_vl_moe": UNBUILT,
    "evolla": FULL,
    "exaone4_5": FULL,
    "fast_vlm": UNBUILT,
    "florence2": UNBUILT,
    "glm46v": FULL,
    "glm4v": FULL,
    "glm4v_moe": FULL,
    "glm5_next": UNBUILT,
    "glm_ocr": FULL,
    "glmga": FULL,
    "granite4_vision": UNBUILT,
    "granite_docling": FULL,
    "hunyuan_vl": FULL,
    "hyperclovax_vision_v2": FULL,
    "idefics": REFUSED + "reads no text without an image",
    "idefics2": FULL,
    "idefics3": FULL,
    "inkling2": NO_LENS + "there is more than a norm between its last block and its logits",
    "inkling_mm_model": UNBUILT,
    "instructblip": REFUSED + "describes images, and has no text of its own",
    "instructblipvideo": REFUSED + "describes images, and has no text of its own",
    "internvl": FULL,
    "janus": UNBUILT,
    "kimi_k25": FULL,
    "kosmos-2": REFUSED + "reads no text without an image",
    "kosmos-2.5": FULL,
    "lfm2_vl": FULL,
    "lfm3_vl": FULL,
    "lighton_ocr": FULL,
    "llava": FULL,
    "llava_next": FULL,
    "llava_next_video": FULL,
    "llava_onevision": FULL,
    "minicpm_ocr": FULL,
    "minicpmv4_6": FULL,
    "minicpmv4_7": FULL,
    "minimax_m3_vl": FULL,
    "mistral3": FULL,
    "mistral4": FULL,
    "mistral_large4": FULL,
    "molmo2": UNBUILT,
    "muse_glimmer": UNBUILT,
    "muse_spark": UNBUILT,
    "nemotron_h_omni": UNBUILT,
    "ovis2": FULL,
    "paddleocr_vl": FULL,
    "paligemma": REFUSED + "reads its text in both directions",
    "perception_lm": UNBUILT,
    "pi0": REFUSED + "moves robots, and has no text of its own",
    "pix2struct": REFUSED + "is an encoder-decoder: its decoder reads what an encoder has read",
    "pp_chart2table": FULL,
    "pp_formulanet": UNBUILT,
    "qianfan_ocr": FULL,
    "qwen2_5_omni_thinker": FULL,
    "qwen2_5_vl": FULL,
    "qwen2_vl": FULL,
    "qwen3_omni_moe_thinker": FULL,
    "qwen3_vl": FULL,
    "qwen3_vl_moe": FULL,
    "shieldgemma2": FULL,
    "smolvlm": FULL,
    "step3p7": FULL,
    "t5gemma2": REFUSED + "is an encoder-decoder: its decoder reads what an encoder has read",
    "udop": REFUSED + "is an encoder-decoder: its decoder reads what an encoder has read",
    "unlimited_ocr": UNBUILT,
    "video_llama_3": FULL,
    "video_llava": FULL,
    "vipllava": FULL,
    "vision-encoder-decoder": REFUSED
    + "is an encoder-decoder: its decoder reads what an encoder has read",
}
"""What AutoModelForImageTextToText knows besides."""


ONE_SUM = frozenset(
    {
        "beam",
        "doge",
        "falcon_h1",
        "falcon_mamba",
        "gemma4",
        "gemma4_text",
        "gpt_neox_japanese",
        "granitemoehybrid",
        "inkling2",
        "inkling2_text",
        "longcat_flash",
        "mamba",
        "mamba2",
        "minimax",
        "nemotron_h",
        "openai-gpt",
        "rwkv",
        "xlstm",
        "zamba",
        "zamba2",
        "zaya",
    }
)
"""Whose blocks do not add two things to the stream, one after the other or side by side."""
PARALLEL = frozenset(
    {
        "aya_vision",
        "codegen",
        "cohere",
        "cohere2",
        "cohere2_moe",
        "cohere2_vision",
        "cohere_compass",
        "cohere_compass_text",
        "falcon",
        "gpt_neox",
        "gptj",
        "phi",
    }
)
"""Whose attention and MLP read the same stream: there is none between them."""


def missing_points(model_type: str) -> frozenset[str]:
    """The hook points that not every block of a model of this type has."""
    if model_type in ONE_SUM:
        return frozenset({"attn_out", "resid_mid", "mlp_in", "mlp_out"})
    return frozenset({"resid_mid"} if model_type in PARALLEL else ())


def models_page() -> str:
    """The text of docs/models.md."""
    everything = LANGUAGE_MODELS | SEEING_MODELS
    parts = [
        HEAD,
        _part("Language models", LANGUAGE_MODELS, FULL, "Rows, splicing and what features promote"),
        _part("Models that also see or hear", SEEING_MODELS, FULL, SEEING),
        _reasons("Rows and splicing, but not what features promote", everything, NO_LENS),
        _reasons("Refused", everything, REFUSED),
        _points(),
        _part("Not tested", everything, UNBUILT, NOT_TESTED),
    ]
    return "\n\n".join(parts) + "\n"


def _points() -> str:
    return "\n\n".join(
        [
            "## Hook points",
            HOOKS,
            f"All but `resid_mid`: {_names(PARALLEL)}.",
            f"`resid_pre` and `resid_post` only: {_names(ONE_SUM)}.",
        ]
    )


def _names(types: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(types))


def _part(title: str, table: Mapping[str, str], verdict: str, words: str) -> str:
    found = [name for name, text in table.items() if text == verdict]
    return f"## {title}\n\n{words} ({len(found)}).\n\n{_names(found)}"


def _reasons(title: str, table: Mapping[str, str], verdict: str) -> str:
    by_reason: dict[str, list[str]] = {}
    for name, text in table.items():
        if text.startswith(verdict):
            by_reason.setdefault(text.removeprefix(verdict), []).append(name)
    rows = [f"| {_names(names)} | {why} |" for why, names in sorted(by_reason.items())]
    return "\n".join([f"## {title}", "", "| types | why |", "| --- | --- |", *rows])
