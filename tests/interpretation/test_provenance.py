"""An SAE explains the model and the layer that it was trained on, and no other."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli.errors import ConflictError
from ghosttrack_cli.export.dictionary_learning import export_sae
from ghosttrack_cli.interpretation.api import analyze_sae
from ghosttrack_cli.interpretation.inputs import check_fits, load_trained
from ghosttrack_cli.interpretation.prompt import explain_prompt
from ghosttrack_cli.provenance import ModelRecord, sae_differences
from ghosttrack_cli.settings.schema import InterpretationSettings
from ghosttrack_cli.site import AnySite, Site

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.workspace import Workspace

TEXT = "the tides"


@pytest.fixture
def trained_workspace(planted_workspace: Workspace, planted_sae: Any, planted_model: Any) -> Any:
    """SAEs that record the planted model, as training writes them."""
    for layer in (0, 1):
        metadata = {
            "model_name": planted_model.identity.name,
            "model": planted_model.identity.record.to_json(),
            "hook_name": f"blocks.{layer}.hook_resid_post",
        }
        planted_sae.save(planted_workspace.sae(layer, "best"), metadata=metadata)
    return planted_workspace


def another(model: ResidualModel, **changes: Any) -> ResidualModel:
    other = copy.copy(model)
    other.identity = replace(model.identity, **changes)
    return other


def explain(model: Any, workspace: Workspace, layer: int = 0) -> None:
    explain_prompt(TEXT, (layer,), InterpretationSettings(), model, workspace)


def analyze(model: Any, workspace: Workspace, layer: int = 0) -> None:
    analyze_sae(workspace.sae(layer, "best"), model, layer, [TEXT])


@pytest.mark.parametrize("use", [explain, analyze])
def test_another_model_of_the_same_width_is_refused(
    use: Any, trained_workspace: Workspace, planted_model: ResidualModel
) -> None:
    use(planted_model, trained_workspace)
    use(another(planted_model, name="renamed"), trained_workspace)
    other = another(planted_model, name="other", weights_sha256="f" * 64)
    with pytest.raises(ConflictError) as caught:
        use(other, trained_workspace)
    own = planted_model.identity
    assert caught.value.fields == {
        "model": (own.name, "other"),
        "weights_sha256": (own.weights_sha256, "f" * 64),
    }
    assert caught.value.hint == f"use {own.name}: leave --model out"


def test_another_configuration_is_refused_by_its_field(
    trained_workspace: Workspace, planted_model: ResidualModel
) -> None:
    config = planted_model.identity.config | {"activation_function": "relu"}
    with pytest.raises(ConflictError) as caught:
        explain(another(planted_model, config=config), trained_workspace)
    assert caught.value.fields == {"model_config.activation_function": ("gelu_new", "relu")}


def test_another_tokenizer_is_no_other_model(
    trained_workspace: Workspace, planted_model: ResidualModel
) -> None:
    config = planted_model.identity.config | {"tokenizer": {"bos_token_id": 7}}
    explain(another(planted_model, config=config, tokenizer_sha256="0"), trained_workspace)


def test_an_sae_of_another_layer_is_refused(
    trained_workspace: Workspace, planted_model: ResidualModel, tmp_path: Path
) -> None:
    with pytest.raises(ConflictError, match="another model or layer") as caught:
        analyze_sae(trained_workspace.sae(0, "best"), planted_model, 1, [TEXT])
    assert caught.value.fields == {"layer": (0, 1)}
    assert caught.value.hint == "it belongs to layer 0"
    with pytest.raises(ConflictError) as caught:
        export_sae(trained_workspace.sae(1, "best"), tmp_path / "export", layer=0)
    assert caught.value.fields == {"layer": (1, 0)}
    assert not (tmp_path / "export").exists()


def test_an_sae_that_records_nothing_is_taken(
    planted_workspace: Workspace, planted_model: ResidualModel
) -> None:
    folder = planted_workspace.sae(0, "best")
    check_fits(load_trained(1, folder, "best", None, planted_model.device), planted_model)


@pytest.mark.parametrize(
    ("hook", "layer", "fields"),
    [
        ("blocks.6.hook_resid_post", 6, {}),
        ("blocks.7.hook_resid_pre", 6, {}),
        ("blocks.6.hook_resid_pre", 6, {"layer": (5, 6)}),
        ("transformer.h.6", 3, {}),
        ("blocks.6.hook_mlp_out", 6, {"hook_name"}),
        ("blocks.6.attn.hook_z", 6, {"hook_name"}),
        ("blocks.6.hook_mlp_out", Site(6, "mlp_out"), {}),
        ("blocks.6.ln2.hook_normalized", Site(6, "mlp_in"), {}),
        ("blocks.5.hook_mlp_out", Site(6, "mlp_out"), {"layer": (5, 6)}),
        ("blocks.7.hook_resid_pre", Site(7, "resid_pre"), {}),
        ("blocks.6.hook_resid_mid", 6, {"hook_name"}),
    ],
)
def test_hooks_of_other_programs(hook: str, layer: AnySite, fields: Any) -> None:
    found = sae_differences({"hook_name": hook}, layer, ModelRecord("any", "0"))
    assert (found if isinstance(fields, dict) else set(found)) == fields


@pytest.mark.parametrize("record", [None, 3, [], {"config": 4}, {"weights_sha256": None}])
def test_a_record_that_is_none_differs_in_nothing(record: Any) -> None:
    assert sae_differences({"model": record}, 0, ModelRecord("any", "0", {"a": 1})) == {}
