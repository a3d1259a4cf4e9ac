"""Several hook points of several layers, from extraction to export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from tests.support.files import tree
from tests.support.settings import small_settings

from ghosttrack_cli.site import Site
from ghosttrack_cli.store.read.reader import ActivationStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended
    from transformers import PreTrainedModel

pytestmark = pytest.mark.usefixtures("one_thread")
WORKSPACE = Path("ghosttrack-data")
CHECKPOINTS, REPORTS = WORKSPACE / "checkpoints", WORKSPACE / "interpretations"


@pytest.fixture
def source(tiny_model: Path, texts: Path, environment: None) -> tuple[str, ...]:
    Path("ghosttrack.toml").write_text(small_settings(sae_training={"epochs": 2}))
    return ("--model", str(tiny_model), "--corpus", str(texts), "--tokens", "3k")


@pytest.fixture
def extracted(source: tuple[str, ...], ghosttrack: Callable[..., Ended]) -> Ended:
    hooks = ("--layers", "0,2", "--hook", "resid_post,mlp_out")
    return ghosttrack("extract", *source, *hooks)


def test_points_go_through_every_stage(extracted: Ended, ghosttrack: Callable[..., Ended]) -> None:
    assert extracted.code == 0, extracted.err
    assert "layers 0.mlp_out,0,2.mlp_out,2 (" in extracted.out
    trained = ghosttrack("train", "--layers", "2,2.mlp_out", "--json").document
    assert set(trained["layers"]) == {"2", "2.mlp_out"}
    assert ghosttrack("status", "--json").document["next"] == (
        "ghosttrack train --layers 0.mlp_out,0"
    )
    read = ghosttrack("interpret", "--layers", "2.mlp_out,2", "--json").document
    assert [one["layer"] for one in read["layers"]] == ["2.mlp_out", 2]
    report = json.loads((REPORTS / "layer_2.mlp_out" / "store" / "report.json").read_bytes())
    assert (report["layer"], report["hook_point"]) == ("2.mlp_out", "mlp_out")
    recovered = report["recovered"]
    assert recovered["ce_zero"] != recovered["ce_clean"]  # it was spliced, and at its own place
    listed = ghosttrack("interpret", "list", "--layer", "2.mlp_out", "--json").document
    assert (listed["layer"], listed["found"]) == ("2.mlp_out", report["sae"]["d_hidden"])
    shown = ghosttrack("interpret", "--layer", "2.mlp_out", "--feature", "0").out
    assert shown.startswith("layer 2.mlp_out  feature 0")
    prompted = ghosttrack("interpret", "prompt", "Document 3", "--json").document
    assert [one["layer"] for one in prompted["layers"]] == ["2.mlp_out", 2]
    status = ghosttrack("status", "--json").document
    assert [one["layer"] for one in status["layers"]] == ["0.mlp_out", 0, "2.mlp_out", 2]
    assert [bool(one["interpretations"]) for one in status["layers"]] == [False, False, True, True]


def test_exports_name_the_hook(extracted: Ended, ghosttrack: Callable[..., Ended]) -> None:
    assert extracted.code == 0
    assert ghosttrack("train", "--layers", "2,2.mlp_out").code == 0
    for name, hook in (("2", "resid_post"), ("2.mlp_out", "mlp_out")):
        about = json.loads((CHECKPOINTS / f"sae_layer_{name}_best" / "cfg.json").read_bytes())
        assert about["metadata"]["hook_name"] == f"blocks.2.hook_{hook}"
    assert ghosttrack("export").code == 0
    config = json.loads((WORKSPACE / "exports" / "layer_2.mlp_out" / "config.json").read_bytes())
    assert config["trainer"]["layer"] == 2
    assert config["trainer"]["submodule_name"] == "mlp_out_layer_2"


def test_an_sae_of_another_point_is_refused(
    extracted: Ended, ghosttrack: Callable[..., Ended]
) -> None:
    assert extracted.code == 0
    assert ghosttrack("train", "--layers", "2").code == 0
    (CHECKPOINTS / "sae_layer_2_best").rename(CHECKPOINTS / "sae_layer_2.mlp_out_best")
    refused = ghosttrack("interpret", "--layers", "2.mlp_out")
    assert refused.code != 0
    assert "blocks.2.hook_resid_post" in refused.err
    assert "blocks.2.hook_mlp_out" in refused.err


def test_one_pass_gives_what_plain_hooks_see(
    extracted: Ended, tiny_model: Path, ghosttrack: Callable[..., Ended]
) -> None:
    from transformers import AutoModelForCausalLM

    assert extracted.code == 0
    store = ActivationStore.open(WORKSPACE / "activations.zarr")
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(tiny_model)
    context = store.identity.context_length
    windows = torch.from_numpy(store.token_ids()[: 8 * context].reshape(8, context)).long()
    seen: dict[str, torch.Tensor] = {}
    block = model.get_submodule("transformer.h.2")
    for name in ("mlp", ""):

        def keep(_m: object, _i: object, out: object, name: str = name) -> None:
            value = out[0] if isinstance(out, tuple) else out
            assert isinstance(value, torch.Tensor)
            seen[name] = value.clone()

        block.get_submodule(name).register_forward_hook(keep)
    with torch.no_grad():
        model(input_ids=windows)
    for site, name in ((Site(2, "mlp_out"), "mlp"), (Site(2), "")):
        rows = torch.from_numpy(store.read(site, 0, 8 * context).copy())
        expected = seen[name].reshape(rows.shape)
        torch.testing.assert_close(rows, expected, rtol=1e-4, atol=1e-4)


def test_the_layers_own_store_is_the_same_beside_other_points(
    source: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    """`--layer 2` means what it meant: the same chunks, whatever else is stored."""
    alone = ("--workspace", "alone")
    assert ghosttrack("extract", *source, "--layer", "2", *alone).code == 0
    assert ghosttrack("extract", *source, "--layer", "2").code == 0
    grown = ghosttrack("extract", *source, "--layer", "2", "--hook", "attn_out")
    assert grown.code == 0, grown.err
    array = Path("activations.zarr/layers/02/resid_post")
    assert tree(WORKSPACE / array) == tree("alone" / array)
    status = ghosttrack("status", "--json").document
    assert [(one["layer"], one["rows"]) for one in status["layers"]] == [
        ("2.attn_out", 3000),
        (2, 3000),
    ]


def test_a_layer_without_its_usual_point_is_named_in_the_hint(
    source: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack("extract", *source, "--layer", "2", "--hook", "mlp_out").code == 0
    refused = ghosttrack("train", "--layers", "2")
    assert refused.code == 2
    assert refused.hint == "--layers 2.mlp_out"
    assert ghosttrack("train", *refused.hint.split()).code == 0


def test_run_takes_points(source: tuple[str, ...], ghosttrack: Callable[..., Ended]) -> None:
    flags = ("--layers", "1", "--hook", "resid_mid,resid_post")
    plan = ghosttrack("run", *source, *flags, "--dry-run", "--json").document
    assert plan["plan"]["extract"]["layers"] == ["1.resid_mid", 1]
    done = ghosttrack("run", *source, *flags, "--json")
    assert done.code == 0, done.err
    assert set(done.document["train"]["layers"]) == {"1.resid_mid", "1"}
    assert (REPORTS / "layer_1.resid_mid" / "store" / "report.json").is_file()
    verified = ghosttrack("status", "--verify")
    assert verified.code == 0, verified.out + verified.err


def test_a_store_grows_at_the_points_that_it_has(
    source: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack("extract", *source, "--layer", "1", "--hook", "mlp_out").code == 0
    grown = ghosttrack("extract", "--tokens", "4k")
    assert grown.code == 0
    assert "--hook mlp_out" in grown.err  # said, as all that is as before
    assert ghosttrack("extract", "--layers", "2,0.attn_out").code == 0
    status = ghosttrack("status", "--json").document
    assert [one["layer"] for one in status["layers"]] == ["0.attn_out", "1.mlp_out", "2.mlp_out"]
    assert {one["rows"] for one in status["layers"]} == {4000}


def test_an_unknown_point_is_refused_before_anything_is_written(
    source: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    refused = ghosttrack("extract", *source, "--hook", "resid_post,mlp")
    assert refused.code == 2
    assert "--hook" in refused.what
    assert "mlp_out" in refused.hint
    assert not WORKSPACE.exists()


def test_what_reads_alone_has_no_lens_and_says_so(
    source: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    flags = ("--layers", "1", "--hook", "mlp_in,mlp_out")
    done = ghosttrack("run", *source, *flags)
    assert done.code == 0, done.err
    assert "cannot tell which tokens features promote: layer 1.mlp_in" in done.err
    for point, known in (("mlp_in", False), ("mlp_out", True)):
        folder = REPORTS / f"layer_1.{point}" / "store"
        notes = json.loads((folder / "report.json").read_bytes())["notes"]
        first = json.loads((folder / "features" / "000.json").read_bytes())["features"][0]
        assert bool(first["promoted"]) is known
        assert any("read by its MLP alone" in note for note in notes) is not known
