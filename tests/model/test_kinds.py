"""Models that are none of ours are refused by what they are, before their weights are fetched."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.model.test_loading import edit_config, folder, load
from tests.model.tiny import tiny_config, tiny_model

from ghosttrack_cli.errors import GhostTrackError, ModelError
from ghosttrack_cli.model.found import find_model
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.settings.schema import ModelSettings

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["folder"]  # the fixture


def config_only(tmp_path: Path, document: dict[str, Any]) -> ModelSettings:
    tmp_path.joinpath("config.json").write_text(json.dumps(document))
    return ModelSettings(name=str(tmp_path), device="cpu")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"model_type": "t5"}, "t5 is an encoder-decoder: its decoder reads"),
        ({"model_type": "mt5"}, "mt5 is an encoder-decoder"),
        ({"model_type": "whisper"}, "whisper is an encoder-decoder"),
        ({"model_type": "whisper", "is_encoder_decoder": False}, "whisper is an encoder-decoder"),
        ({"model_type": "bart"}, "bart is an encoder-decoder"),
        (
            {"model_type": "bart", "is_decoder": True, "is_encoder_decoder": False},
            "bart is an encoder-decoder",
        ),
        ({"model_type": "marian", "is_decoder": True, "is_encoder_decoder": False}, "marian is an"),
        ({"model_type": "pegasus", "is_encoder_decoder": False}, "pegasus is an encoder-decoder"),
        ({"model_type": "t5gemma"}, "t5gemma is an encoder-decoder"),
        ({"model_type": "bert"}, "bert is an encoder: it reads text in both directions"),
        ({"model_type": "modernbert"}, "modernbert is an encoder: it reads"),
        ({"model_type": "deberta-v2"}, "deberta-v2 is an encoder: it reads"),
        ({"model_type": "xlnet"}, "xlnet predicts tokens in shuffled order"),
        ({"model_type": "gemma3n"}, "gemma3n carries several residual streams"),
        ({"model_type": "gemma3n_text"}, "gemma3n_text carries several residual streams"),
        ({"model_type": "vit"}, "transformers gives vit no logits over tokens"),
        ({"model_type": "wav2vec2"}, "transformers gives wav2vec2 no logits over tokens"),
        ({"model_type": "clip"}, "transformers gives clip no logits over tokens"),
    ],
    ids=lambda one: "" if isinstance(one, str) else str(one["model_type"]),
)
def test_a_model_of_another_kind_is_refused_by_what_it_is(
    document: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        find_model(config_only(tmp_path, document))
    assert "decoder-only language models are supported" in str(caught.value.hint)


def test_one_position_is_too_few(folder: Path) -> None:
    edit_config(folder, n_positions=1)
    with pytest.raises(ModelError, match="reads 1 token at a time, windows have at least 2"):
        find_model(ModelSettings(name=str(folder)))


@pytest.mark.parametrize("model_type", ["mamba", "mamba2", "recurrent_gemma", "bloom", "xlstm"])
def test_a_model_without_a_longest_window_takes_any(model_type: str, tmp_path: Path) -> None:
    tiny_config(model_type).save_pretrained(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    found = find_model(ModelSettings(name=str(tmp_path))).description
    assert found.max_context == 2**20


@pytest.fixture
def saved(tmp_path: Path, byte_tokenizer: Any) -> Callable[..., Path]:
    """`saved(model_type)`: a tiny model with the byte tokenizer, as save_pretrained writes it."""

    def save(model_type: str, **changes: Any) -> Path:
        where = tmp_path / model_type
        tiny_model(model_type, **changes).save_pretrained(where)
        byte_tokenizer.save_pretrained(where)
        return where

    return save


VOCABULARY = {"vocab_size": 257}


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("gemma3", {"text_config": VOCABULARY}),
        ("qwen3_5", {"text_config": VOCABULARY}),
        ("llama4", {"text_config": VOCABULARY}),
        ("llava", {"text_config": VOCABULARY}),
        ("mistral3", {"text_config": VOCABULARY}),
        ("qwen2_5_vl", {"text_config": VOCABULARY}),
        ("openai-gpt", VOCABULARY),
        ("modernbert-decoder", VOCABULARY),
        ("mamba", VOCABULARY),
        ("rwkv", VOCABULARY),
    ],
)
def test_what_transformers_writes_is_loaded(
    model_type: str, changes: dict[str, Any], saved: Callable[..., Path]
) -> None:
    """Through files and back: the rows are those of the model that was saved."""
    where = saved(model_type, **changes)
    plain = tiny_model(model_type, **changes)
    model = load(where)
    ids = torch.randint(0, 256, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected: Any = plain(input_ids=ids, use_cache=False)
    torch.testing.assert_close(model.logits(ids), expected.logits, rtol=1e-3, atol=1e-4)
    assert model.residuals(ids, [1])[1].shape == (2, 9, model.d_model)
    settings = ModelSettings(name=str(where))
    assert find_model(settings).description.n_layers == model.n_layers


@pytest.mark.parametrize("model_type", ["llama4", "mllama", "qwen3_5", "gemma3"])
def test_the_language_model_of_a_whole_checkpoint_is_taken(
    model_type: str, tmp_path: Path, byte_tokenizer: Any
) -> None:
    """As it is published: with what sees, which the class for text does without."""
    from transformers import AutoModelForImageTextToText

    make: Any = AutoModelForImageTextToText.from_config
    plain = make(tiny_config(model_type, text_config=VOCABULARY))
    plain.train(mode=False)
    plain.save_pretrained(tmp_path)
    byte_tokenizer.save_pretrained(tmp_path)
    notices: list[str] = []
    settings = ModelSettings(name=str(tmp_path), device="cpu")
    model = ResidualModel.load(settings, notice=notices.append)
    ids = torch.randint(0, 256, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = plain(input_ids=ids, use_cache=False).logits
    torch.testing.assert_close(model.logits(ids), expected, rtol=1e-3, atol=1e-4)
    assert all("vision" in notice or "projector" in notice for notice in notices)


def test_a_block_for_later_tokens_is_said(folder: Path) -> None:
    """As Qwen3-Next and DeepSeek have: beside the blocks, with the same names inside."""
    extra = {"mtp.h.0.mlp.c_fc.weight": torch.zeros(2), "mtp.h.0.ln_1.weight": torch.zeros(2)}
    change_weights(folder, lambda weights: weights.update(extra))
    notices: list[str] = []
    ResidualModel.load(ModelSettings(name=str(folder), device="cpu"), notice=notices.append)
    (notice,) = notices
    assert "2 tensors of" in notice


def test_special_tokens_beyond_the_embeddings_are_said(
    make_model_folder: Callable[..., Path], byte_tokenizer: Any, tmp_path: Path
) -> None:
    where, notices = make_model_folder("gemma"), list[str]()
    tokenizer: Any = type(byte_tokenizer).from_pretrained(where)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image_soft_token>"]})
    tokenizer.save_pretrained(where)
    settings = ModelSettings(name=str(where), device="cpu")
    model = ResidualModel.load(settings, notice=notices.append)
    assert len(model.tokenizer) == model.vocab_size + 1
    assert notices == ["the model has no embedding for 1 special tokens: <image_soft_token>"]
    tokenizer.add_tokens(["ghosttrack"])
    tokenizer.save_pretrained(where)
    with pytest.raises(
        ModelError, match=r"tokenizer does not match the model: .* 259 tokens .* for 257"
    ):
        load(where)


Change = dict[str, torch.Tensor]


def change_weights(where: Path, change: Callable[[Change], None]) -> None:
    weights = load_file(where / "model.safetensors")
    change(weights)
    save_file(weights, where / "model.safetensors", {"format": "pt"})


def test_a_bias_that_the_configuration_denies_is_refused(
    make_model_folder: Callable[..., Path],
) -> None:
    where = make_model_folder("llama", attention_bias=True)
    edit_config(where, attention_bias=False)
    with pytest.raises(
        ModelError, match=r"do not match the configuration: .* has 12 tensors .*q_proj\.bias|k_proj"
    ):
        load(where)


def test_scales_of_quantised_weights_are_refused(folder: Path) -> None:
    name = "transformer.h.0.mlp.c_fc.weight"
    scale = {f"{name}_scale": torch.ones(1)}
    change_weights(folder, lambda weights: weights.update(scale))
    with pytest.raises(ModelError, match=r"do not match the configuration: .*c_fc\.weight_scale"):
        load(folder)


def test_weights_of_whole_numbers_are_refused(folder: Path) -> None:
    name = "transformer.h.0.mlp.c_fc.weight"
    change_weights(folder, lambda weights: weights.update({name: weights[name].to(torch.int8)}))
    with pytest.raises(ModelError, match=r"quantised weights .* 1 integer or 8-bit tensor: .*c_fc"):
        load(folder)


def test_blocks_and_heads_beyond_the_configuration_are_said(folder: Path) -> None:
    full = load(folder)
    edit_config(folder, n_layer=2)
    change_weights(folder, lambda weights: weights.update({"score.weight": torch.zeros(2, 16)}))
    notices: list[str] = []
    settings = ModelSettings(name=str(folder), device="cpu")
    model = ResidualModel.load(settings, notice=notices.append)
    (notice,) = notices
    assert "tensors of" in notice
    assert "are not used: score.weight, transformer.h.2" in notice
    ids = torch.arange(6)[None]
    torch.testing.assert_close(model.residuals(ids, [1])[1], full.residuals(ids, [1])[1])


def test_an_adapter_beside_full_weights_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(ModelError, match="the adapter beside the weights is not applied") as caught:
        load(folder)
    assert "merge_and_unload" in str(caught.value.hint)
    (folder / "adapter_config.json").unlink()
    load(folder)


def test_an_adapter_alone_is_named(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(ModelError, match=r"only an adapter: .* has no config\.json") as caught:
        load(tmp_path)
    assert "merge_and_unload" in str(caught.value.hint)


def test_another_shape_is_refused_by_its_tensor(folder: Path) -> None:
    name = "transformer.h.0.mlp.c_fc.weight"
    change_weights(
        folder, lambda weights: weights.update({name: weights[name][:, :-1].contiguous()})
    )
    with pytest.raises(
        ModelError, match=r"c_fc\.weight is \(16, 63\), config.json says \(16, 64\)"
    ):
        load(folder)


def test_a_checkpoint_of_the_bare_model_is_loaded_without_a_word(folder: Path) -> None:
    """As OpenAI's GPT-2: without the prefix, with the masks of its attention."""
    full, notices = load(folder), list[str]()
    prefix = "transformer."

    def strip(weights: Change) -> None:
        for name in list(weights):
            weights[name.removeprefix(prefix)] = weights.pop(name)
        for block in range(3):
            weights[f"h.{block}.attn.bias"] = torch.ones(1, 1, 32, 32)
            weights[f"h.{block}.attn.masked_bias"] = torch.tensor(-1e4)

    change_weights(folder, strip)
    settings = ModelSettings(name=str(folder), device="cpu")
    model = ResidualModel.load(settings, notice=notices.append)
    assert notices == []
    ids = torch.arange(6)[None]
    torch.testing.assert_close(model.residuals(ids, [2])[2], full.residuals(ids, [2])[2])
    scale = {"h.0.mlp.c_fc.weight_scale": torch.ones(1)}
    change_weights(folder, lambda weights: weights.update(scale))
    with pytest.raises(
        ModelError, match=r"do not match the configuration: .*h\.0\.mlp\.c_fc\.weight_scale"
    ):
        load(folder)


STRANGE: tuple[Any, ...] = (0, -1, 7, 1.5, 10**9, None, "many", [], {"a": 1}, True)


@pytest.mark.parametrize(
    "family",
    ["llama", *(pytest.param(family, marks=pytest.mark.faults) for family in ("gpt2", "opt"))],
)
def test_no_configuration_ends_without_a_sentence(
    family: str, make_model_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Every field with every strange value: a model, or an error of ours that says something."""
    where = Path(shutil.copytree(make_model_folder(family), tmp_path / family))
    document = json.loads((where / "config.json").read_text())
    for name in document:
        for value in STRANGE:
            (where / "config.json").write_text(json.dumps(document | {name: value}))
            with contextlib.suppress(GhostTrackError):
                try:
                    find_model(ModelSettings(name=str(where)))
                    settings = ModelSettings(name=str(where), device="cpu")
                    ResidualModel.load(settings, notice=lambda _: None)
                except Exception as error:
                    error.add_note(f"{name} = {value!r}")
                    raise
