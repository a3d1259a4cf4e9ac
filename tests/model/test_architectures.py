"""Every model type that transformers knows: rows, splicing and promoted tokens, or a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.model.architectures import verdict
from tools.model_types import LANGUAGE_MODELS, SEEING_MODELS, missing_points, models_page

WRAPPERS = ("aya_vision", "gemma3", "llama4", "llava", "mistral3", "qwen2_5_vl", "qwen3_vl")
"""Of the models that also see, those that the default suite builds."""


def auto_types(name: str) -> set[str]:
    from transformers.models.auto import modeling_auto

    return set(getattr(modeling_auto, f"MODEL_FOR_{name}_MAPPING_NAMES"))


def test_every_type_that_transformers_knows_has_an_entry() -> None:
    """One that is missing is new in transformers: write down what verdict() gives for it."""
    assert auto_types("CAUSAL_LM") - set(LANGUAGE_MODELS) == set()
    assert auto_types("IMAGE_TEXT_TO_TEXT") - set(SEEING_MODELS) - set(LANGUAGE_MODELS) == set()


@pytest.mark.parametrize("model_type", LANGUAGE_MODELS)
def test_a_language_model_does_what_the_table_says(model_type: str) -> None:
    if model_type not in auto_types("CAUSAL_LM"):
        pytest.skip("this transformers does not have it")
    assert verdict(model_type) == (LANGUAGE_MODELS[model_type], missing_points(model_type))


@pytest.mark.parametrize(
    "model_type",
    [
        pytest.param(name, marks=() if name in WRAPPERS else pytest.mark.faults)
        for name in SEEING_MODELS
    ],
)
def test_a_model_that_sees_does_what_the_table_says(model_type: str) -> None:
    if model_type not in auto_types("IMAGE_TEXT_TO_TEXT"):
        pytest.skip("this transformers does not have it")
    assert verdict(model_type) == (SEEING_MODELS[model_type], missing_points(model_type))


def test_the_page_of_models_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "models.md"
    assert page.read_text(encoding="utf-8") == models_page(), "run make docs"
