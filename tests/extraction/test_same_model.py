"""What makes two runs the same model: everything that decides a row, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.files import tree

from ghosttrack_cli.errors import ConflictError
from ghosttrack_cli.store.format.commit_record import read_commit

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def moved(extraction: Any, tmp_path: Path) -> Path:
    """A store of 4,000 rows, whose model now lies in a folder of another name."""
    extraction(tokens=4000)
    return Path(shutil.copytree(extraction.model, tmp_path / "renamed"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_renamed_folder_is_the_same_model(extraction: Any, moved: Path) -> None:
    assert extraction(tokens=8000, model_name=str(moved)).new_rows == 4000
    rows = tree(extraction.workspace.store)["layers/01/resid_post/c/0/0"]
    extraction(tokens=8000, overwrite=True)
    assert tree(extraction.workspace.store)["layers/01/resid_post/c/0/0"] == rows


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activation_function", "relu"),
        ("layer_norm_epsilon", 1e-3),
        ("scale_attn_weights", False),
        ("scale_attn_by_inverse_layer_idx", True),
    ],
)
@pytest.mark.parametrize("tokens", [4000, 8000])
def test_a_changed_configuration_conflicts_by_its_field(
    name: str, value: object, tokens: int, extraction: Any, moved: Path
) -> None:
    before = json.loads((moved / "config.json").read_text())[name]
    edit(moved / "config.json", **{name: value})
    with pytest.raises(ConflictError) as caught:
        extraction(tokens=tokens, model_name=str(moved))
    assert caught.value.fields == {f"model_config.{name}": (before, value)}
    assert read_commit(extraction.workspace.store).rows == 4000


def test_a_changed_rope_conflicts_by_its_field(
    extraction: Any, make_model_folder: Callable[..., Path], tmp_path: Path
) -> None:
    extraction.model = Path(shutil.copytree(make_model_folder("llama"), tmp_path / "llama"))
    extraction(tokens=4000)
    edit(
        extraction.model / "config.json",
        rope_parameters={"rope_type": "linear", "rope_theta": 5000.0, "factor": 2.0},
    )
    with pytest.raises(ConflictError) as caught:
        extraction(tokens=8000)
    assert caught.value.fields == {
        "model_config.rope_parameters.rope_theta": (10000.0, 5000.0),
        "model_config.rope_parameters.rope_type": ("default", "linear"),
        "model_config.rope_parameters.factor": (None, 2.0),
    }


def test_what_decides_no_row_is_no_conflict(extraction: Any, moved: Path) -> None:
    edit(
        moved / "config.json",
        architectures=["Another"],
        attn_pdrop=0.5,
        dtype="float16",
        summary_type="mean",
        use_cache=False,
        transformers_version="5.0.0",
        _name_or_path="elsewhere",
    )
    (moved / "generation_config.json").write_text('{"temperature": 0.1}')
    (moved / "README.md").write_text("words")
    assert extraction(tokens=8000, model_name=str(moved)).new_rows == 4000


def test_another_opening_token_conflicts(extraction: Any, moved: Path) -> None:
    edit(moved / "tokenizer_config.json", **dict.fromkeys(("bos_token", "eos_token"), "!"))
    with pytest.raises(ConflictError) as caught:
        extraction(tokens=8000, model_name=str(moved))
    assert "model_config.tokenizer.bos_token_id" in caught.value.fields


@pytest.mark.parametrize("name", ["attn_implementation", "_attn_implementation"])
def test_another_attention_conflicts(name: str, extraction: Any, moved: Path) -> None:
    edit(moved / "config.json", **{name: "eager"})
    with pytest.raises(ConflictError) as caught:
        extraction(tokens=8000, model_name=str(moved))
    assert caught.value.fields == {"model_config.attn_implementation": (None, "eager")}


@pytest.mark.parametrize("computed", ["float32", "float16"])
def test_float16_overflow_and_the_hint_that_helps(
    computed: str, extraction: Any, make_model_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Whichever of model and store rounds too much, following the hint stores finite rows."""
    from safetensors.torch import load_file, save_file

    from ghosttrack_cli.errors import ModelError

    folder = Path(shutil.copytree(make_model_folder("gpt2"), tmp_path / "large"))
    weights = load_file(folder / "model.safetensors")
    weights["transformer.h.1.mlp.c_proj.bias"] += 1e5 if computed == "float32" else 6e4
    weights["transformer.h.0.mlp.c_proj.bias"] += 0 if computed == "float32" else 6e4
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    asked = {"tokens": 2000, "model_name": str(folder)}
    stored = {"store_dtype": "float16"} if computed == "float32" else {}
    with pytest.raises(ModelError, match=r"too large|not finite") as caught:
        extraction(**asked, **stored, model_dtype=computed)
    hint = str(caught.value.hint)
    if computed == "float32":
        assert "--store-dtype float32" in hint
        helped = {"store_dtype": "float32", "model_dtype": computed}
    else:
        assert " --dtype float32" in hint
        helped = {"model_dtype": "float32"}
    assert extraction(**asked, **helped, overwrite=True).rows == 2000
