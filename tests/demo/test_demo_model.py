from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from ghosttrack_cli.text.python_docs import PythonDocsCorpus

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def record_of(folder: Path) -> Any:
    return json.loads((folder / "training.json").read_text(encoding="utf-8"))


def test_the_weights_are_float16_and_small(demo_folder: Path) -> None:
    weights = demo_folder / "model.safetensors"
    assert weights.stat().st_size <= 8_000_000
    with safe_open(weights, framework="pt") as tensors:
        kinds = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
    assert kinds == {"F16"}


def test_the_folder_holds_the_model_and_nothing_else(demo_folder: Path, tool: ModuleType) -> None:
    names = {path.name for path in demo_folder.iterdir() if path.is_file()}
    assert names == {*tool.MODEL_FILES, "training.json"}


def test_the_model_is_a_gpt2_with_finite_weights(demo_model: Any, demo_folder: Path) -> None:
    assert demo_model.config.model_type == "gpt2"
    assert all(torch.isfinite(value).all() for value in demo_model.parameters())
    assert demo_model.num_parameters() == record_of(demo_folder)["result"]["parameters"]


def test_one_token_ends_and_opens_text(demo_tokenizer: Any, demo_model: Any) -> None:
    assert demo_tokenizer.convert_ids_to_tokens(demo_tokenizer.eos_token_id) == "<|endoftext|>"
    assert demo_tokenizer.bos_token_id == demo_tokenizer.eos_token_id
    assert demo_tokenizer.bos_token_id == demo_model.config.bos_token_id
    assert len(demo_tokenizer) == demo_model.config.vocab_size
    assert demo_tokenizer.model_max_length == demo_model.config.n_positions


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_round_trips(demo_tokenizer: Any, text: str) -> None:
    ids = demo_tokenizer(text, split_special_tokens=True)["input_ids"]
    assert demo_tokenizer.decode(ids) == text
    assert demo_tokenizer.eos_token_id not in ids


def test_the_name_of_the_end_token_in_a_text_stays_text(demo_tokenizer: Any) -> None:
    text = "the string <|endoftext|> is text"
    ids = demo_tokenizer(text, split_special_tokens=True)["input_ids"]
    assert demo_tokenizer.eos_token_id not in ids
    assert demo_tokenizer.decode(ids) == text


def test_it_predicts_held_out_text_better_than_pairs_of_tokens_do(
    demo_model: Any, demo_tokenizer: Any, demo_folder: Path, tool: ModuleType
) -> None:
    held_out = tool.encode(demo_tokenizer, held_out_texts(tool, 15))
    loss = tool.evaluate(demo_model.float(), held_out.tokens, demo_tokenizer.bos_token_id, 40)
    assert loss < record_of(demo_folder)["baselines"]["bigram"] - 0.5


def held_out_texts(tool: ModuleType, count: int) -> list[str]:
    texts: list[str] = []
    stream = PythonDocsCorpus().documents()
    for document in stream:
        if tool.is_validation(stream.origin):
            texts.append(document.text)
        if len(texts) == count:
            break
    return texts
