"""Each family's files give the acts and reconstructions that a plain SAE written out gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.foreign import made

from ghosttrack_cli.errors import ModelError, UsageError
from ghosttrack_cli.foreign.source import read_source
from ghosttrack_cli.sae.registry import load_sae
from ghosttrack_cli.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from ghosttrack_cli.foreign.found import ForeignSAE

pytestmark = pytest.mark.usefixtures("one_thread")


def above(threshold: float) -> Callable[[Tensor], Tensor]:
    return lambda h: torch.where(h > threshold, h, 0.0).relu()


def same(found: ForeignSAE, expected: tuple[Tensor, Tensor], rows: Tensor = made.ROWS) -> None:
    acts = found.sae.encode(rows)
    assert 0 < int((acts > 0).sum()) < acts.numel()
    torch.testing.assert_close(acts, expected[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.sae.forward(rows), expected[1], atol=1e-5, rtol=1e-5)


def read(path: Path, site: Site | None = None) -> ForeignSAE:
    return read_source(str(path), site)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize(
    ("kind", "fire"), [("jumprelu", made.jumps), ("standard", torch.relu), ("topk", made.top_k)]
)
def test_saelens(
    tmp_path: Path, kind: str, fire: Callable[[Tensor], Tensor], centred: bool
) -> None:
    more = {"k": made.K} if kind == "topk" else {}
    folder = made.saelens(tmp_path, architecture=kind, apply_b_dec_to_input=centred, **more)
    found = read(folder)
    same(found, made.encoded(fire, centred=centred))
    assert (found.family, found.site) == ("SAELens", Site(3, "mlp_out"))
    assert found.facts == {
        "model_name": "gpt2",
        "prepend_bos": False,
        "context_size": 64,
        "dataset_path": "texts",
    }


def test_old_saelens(tmp_path: Path) -> None:
    """Its b_dec is subtracted unless told otherwise, and hook_resid_pre of 8 is layer 7's end."""
    found = read(made.old_saelens(tmp_path))
    same(found, made.encoded(torch.relu, centred=True))
    assert (found.site, found.model_name, found.prepend_bos) == (Site(7), "gpt2-small", True)


def test_old_saelens_with_topk(tmp_path: Path) -> None:
    folder = made.old_saelens(
        tmp_path, activation_fn_str="topk", activation_fn_kwargs={"k": made.K}
    )
    same(read(folder), made.encoded(made.top_k, centred=True))


@pytest.mark.parametrize(("kind", "point"), [("res", "resid_post"), ("mlp", "mlp_out")])
@pytest.mark.parametrize(("tuned", "model"), [("pt", "gemma-2-2b"), ("it", "gemma-2-2b-it")])
def test_gemma_scope(tmp_path: Path, kind: str, point: Any, tuned: str, model: str) -> None:
    found = read(made.gemma_scope(tmp_path, f"{tuned}-{kind}"))
    same(found, made.encoded(made.jumps, centred=False))
    assert (found.site, found.model_name) == (Site(10, point), f"google/{model}")
    assert (found.prepend_bos, found.context_size) == (True, 1024)


def test_gemma_scope_without_its_name_leaves_the_site_open(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    made.gemma_scope(tmp_path).rename(folder)
    assert (read(folder).site, read(folder).model_name) == (None, None)


@pytest.mark.parametrize(
    ("place", "site"),
    [
        ("resid_post/layer_12_width_16k_l0_medium", Site(12)),
        ("resid_post_all/layer_7_width_16k_l0_small", Site(7)),
        ("mlp_out/layer_12_width_65k_l0_big", Site(12, "mlp_out")),
    ],
)
def test_gemma_scope_2(tmp_path: Path, place: str, site: Site) -> None:
    folder = made.gemma_scope_2(tmp_path, place)
    found = read(folder)
    same(found, made.encoded(made.jumps, centred=False))
    assert (found.site, found.model_name) == (site, "google/gemma-3-1b-it")
    config = {
        "architecture": "jump_relu",
        "model_name": "gemma-v3-1b-it",
        "hf_hook_point_in": "model.layers.3.post_feedforward_layernorm.output",
    }
    made.write_json(folder / "config.json", config)
    assert read(folder).site == Site(3, "mlp_out")  # what its own configuration says comes first


@pytest.mark.parametrize(
    ("hookpoint", "site"),
    [
        ("layers.10", Site(10)),
        ("h.4", Site(4)),
        ("layers.10.mlp", Site(10, "mlp_out")),
        ("model.layers.2.self_attn", Site(2, "attn_out")),
    ],
)
def test_sparsify(tmp_path: Path, hookpoint: str, site: Site) -> None:
    found = read(made.sparsify(tmp_path / "sae", hookpoint))
    same(found, made.encoded(made.top_k, centred=True))
    assert (found.site, found.model_name, found.context_size) == (site, "org/model", 2048)
    assert found.prepend_bos is None


@pytest.mark.parametrize(
    ("name", "fire", "centred"),
    [
        ("AutoEncoder", torch.relu, True),
        ("AutoEncoderNew", torch.relu, False),
        ("AutoEncoderTopK", made.top_k, True),
        ("BatchTopKSAE", above(0.75), True),
        ("MatryoshkaBatchTopKSAE", above(0.75), True),
        ("JumpReluAutoEncoder", made.jumps, False),
    ],
)
def test_dictionary_learning(
    tmp_path: Path, name: str, fire: Callable[[Tensor], Tensor], centred: bool
) -> None:
    found = read(made.dictionary(tmp_path, name))
    same(found, made.encoded(fire, centred=centred))
    assert (found.site, found.model_name, found.context_size) == (Site(5), "org/model", 128)


@pytest.mark.parametrize(
    ("submodule", "site"),
    [("mlp_out_layer_2", Site(2, "mlp_out")), ("attention_out_layer_3", Site(3, "attn_out"))],
)
def test_dictionary_learning_of_another_point(tmp_path: Path, submodule: str, site: Site) -> None:
    assert (
        read(made.dictionary(tmp_path, "AutoEncoder", submodule_name=submodule, layer=9)).site
        == site
    )


def test_qwen_scope_by_file_and_by_layer(tmp_path: Path) -> None:
    path = made.qwen_scope(tmp_path)
    for found in (read(path), read(path.parent, Site(14))):
        same(found, made.encoded(made.top_k, centred=False))
        assert (found.site, found.model_name) == (Site(14), "Qwen/Qwen3-1.7B-Base")
    with pytest.raises(UsageError, match=r"has 1 SAE: layer14\.sae\.pt"):
        read(path.parent)


def test_what_is_read_is_written_as_ours_and_gives_the_same(tmp_path: Path) -> None:
    found = read(made.sparsify(tmp_path / "sae"))
    found.sae.save(tmp_path / "ours")
    torch.testing.assert_close(
        load_sae(tmp_path / "ours").forward(made.ROWS), found.sae.forward(made.ROWS)
    )


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "gated": (lambda path: made.saelens(path, architecture="gated"), "architecture 'gated'"),
    "transcoder": (
        lambda path: made.saelens(path, architecture="transcoder"),
        "architecture 'transcoder'",
    ),
    "rows normalised": (
        lambda path: made.saelens(path, normalize_activations="layer_norm"),
        "each row by its own mean and spread",
    ),
    "old and normalised": (
        lambda path: made.old_saelens(path, normalize_activations=True),
        "expected_average_only_in",
    ),
    "attention's z": (
        lambda path: made.old_saelens(path, hook_point="blocks.3.attn.hook_z"),
        "blocks.3.attn.hook_z",
    ),
    "tanh": (lambda path: made.old_saelens(path, activation_fn_str="tanh-relu"), "'tanh-relu'"),
    "Gemma Scope of attention": (lambda path: made.gemma_scope(path, "pt-att"), "attention"),
    "Gemma Scope transcoder": (
        lambda path: made.gemma_scope(path, "pt-transcoders"),
        "a transcoder",
    ),
    "Gemma Scope embedding": (
        lambda path: made.gemma_scope(path, layer="embedding"),
        "the embedding",
    ),
    "Gemma Scope 2 of attention": (
        lambda path: made.gemma_scope_2(path, "attn_out/layer_3_width_16k_l0_small"),
        "attention",
    ),
    "Gemma Scope 2 transcoder": (
        lambda path: made.gemma_scope_2(path, "transcoder/layer_3_width_16k_l0_small_affine"),
        "a transcoder",
    ),
    "groupmax": (lambda path: made.sparsify(path, activation="groupmax"), "'groupmax'"),
    "sparsify transcoder": (lambda path: made.sparsify(path, transcode=True), "a transcoder"),
    "skip": (lambda path: made.sparsify(path, skip_connection=True), "a skip connection"),
    "GatedAutoEncoder": (
        lambda path: made.dictionary(path, "GatedAutoEncoder"),
        "the class GatedAutoEncoder",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_expressed_is_refused_by_name(tmp_path: Path, case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(ModelError, match=words) as caught:
        read(make(tmp_path))
    assert caught.value.hint


def test_a_folder_above_names_the_saes_in_it(tmp_path: Path) -> None:
    for layer in range(10):
        made.sparsify(tmp_path, f"layers.{layer}")
    with pytest.raises(UsageError, match=r"has 10 SAEs: layers\.0, .* and 2 more") as caught:
        read(tmp_path)
    assert caught.value.hint == f"name one: {tmp_path}/layers.0"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no SAE of a kind that is known here"):
        read(tmp_path / "empty")
    with pytest.raises(UsageError, match="no such folder"):
        read(tmp_path / "nowhere")
    for text in ("", "no\0path"):
        with pytest.raises(UsageError, match="no such folder"):
            read_source(text, None)


def test_gemma_scope_in_another_byte_order(tmp_path: Path) -> None:
    folder = made.gemma_scope(tmp_path)
    arrays: dict[str, Any] = {name: one.numpy().astype(">f4") for name, one in made.five().items()}
    np.savez_compressed(folder / "params.npz", **arrays)
    same(read(folder), made.encoded(made.jumps, centred=False))


def test_a_folder_of_ours_keeps_the_model_that_it_records(tmp_path: Path) -> None:
    about = {"hook_name": "blocks.2.hook_resid_post", "model": {"name": "m", "config": {}}}
    read(made.saelens(tmp_path)).sae.save(tmp_path / "ours", metadata=about)
    found = read(tmp_path / "ours")
    assert found.sae.metadata["model"] == about["model"]
    assert json.loads((tmp_path / "ours" / "cfg.json").read_bytes())["metadata"]["hook_name"]
