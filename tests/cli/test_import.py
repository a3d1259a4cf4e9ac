"""`ghosttrack import`: an SAE of another program becomes that of its site, checked on text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from tests.foreign import made
from tests.support.files import tree
from tests.support.settings import small_settings

from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.sae.registry import load_sae

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended
    from tests.hub.server import Hub


pytestmark = pytest.mark.usefixtures("one_thread")
WORKSPACE = Path("ghosttrack-data")
CHECKPOINTS = WORKSPACE / "checkpoints"
D = 16


def faithful(bias: torch.Tensor | None = None, scale: float = 1.0) -> JumpReLUSAE:
    """Every number of a row and its opposite are a feature: x_hat is `scale` times x."""
    one = torch.eye(D)
    b_dec = torch.zeros(D) if bias is None else bias
    weights = {
        "W_enc": torch.cat([one, -one], dim=1),
        "b_enc": torch.zeros(2 * D),
        "W_dec": scale * torch.cat([one, -one]),
        "b_dec": b_dec,
        "threshold": torch.zeros(2 * D),
    }
    return JumpReLUSAE.from_weights(weights)


def saelens(folder: Path, sae: JumpReLUSAE, hook: str = "blocks.1.hook_resid_post") -> Path:
    about = {"model_name": "other", "hook_name": hook, "prepend_bos": False, "context_size": 16}
    sae.save(folder, metadata=about)
    (folder / "checksums.json").unlink()
    return folder


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return saelens(tmp_path / "theirs", faithful())


@pytest.fixture
def stored(
    tiny_model: Path, texts: Path, environment: None, ghosttrack: Callable[..., Ended]
) -> None:
    Path("ghosttrack.toml").write_text(small_settings())
    where = ("--model", tiny_model, "--corpus", texts)
    assert ghosttrack("extract", *where, "--layers", "1", "--tokens", "3k").code == 0


def test_it_is_checked_through_the_model_and_then_interpreted(
    theirs: Path, tiny_model: Path, texts: Path, ghosttrack: Callable[..., Ended]
) -> None:
    """No store, no training: text through the model suffices."""
    ended = ghosttrack("import", theirs, "--model", tiny_model, "--texts", texts, "--json")
    document = ended.document
    assert (ended.code, document["layer"], document["family"]) == (0, 1, "SAELens")
    assert document["fvu"] == pytest.approx(0, abs=1e-6)
    assert document["l0"] == pytest.approx(D, abs=0.5)
    assert 1800 < document["tokens"] < 2000  # 2,000 but for window starts
    assert [note.partition(":")[0] for note in document["notes"]] == ["model_name", "prepend_bos"]
    sae = load_sae(CHECKPOINTS / "sae_layer_1_best")
    assert sae.metadata["imported"]["source"] == str(theirs)

    status = ghosttrack("status", "--json").document
    (layer,) = status["layers"]
    assert layer["training"]["state"] == "imported"
    assert layer["training"]["imported"]["family"] == "SAELens"
    assert [check["name"] for check in status["checks"]] == [
        "SAEs trained",
        "interpretations saved",
    ]
    expected = f"interpret --layers 1 --texts python-docs --model {tiny_model}"
    assert status["next"] == f"ghosttrack {expected}"

    read = ghosttrack(
        "interpret", "--layers", "1", "--texts", texts, "--model", tiny_model, "--max-tokens", "500"
    )
    assert read.code == 0, read.err
    assert "32 features" in read.out
    assert ghosttrack("interpret", "prompt", "Document", "--model", tiny_model).code == 0
    assert ghosttrack("export", "--layer", "1").code == 0
    after = ghosttrack("status", "--check")
    assert after.code == 0, after.err
    assert "imported" in after.out
    assert f"layer 1 imported from {theirs} (SAELens); FVU and L0 on" in " ".join(after.out.split())


def test_it_is_checked_on_the_rows_of_the_store(
    theirs: Path, stored: None, ghosttrack: Callable[..., Ended]
) -> None:
    ended = ghosttrack("import", theirs)
    assert ended.code == 0, ended.err
    assert "FVU 0, L0 16.0 on 1," in ended.out
    assert (
        "context_size: the SAE was trained on windows of 16 tokens, here they have 32"
        in " ".join(ended.err.split())
    )
    assert "ghosttrack interpret --layers 1\n" in ended.err
    assert ghosttrack("interpret", "--layers", "1").code == 0
    assert ghosttrack("status", "--check").code == 0
    assert ghosttrack("status", "--verify").code == 0


def test_an_sae_that_explains_nothing_is_refused(
    tmp_path: Path, stored: None, ghosttrack: Callable[..., Ended]
) -> None:
    """x_hat = -x has an FVU above 4; nothing is written."""
    saelens(tmp_path / "wrong", faithful(scale=-1.0))
    before = tree(WORKSPACE)
    for options in ((), ("--dry-run",)):
        ended = ghosttrack("import", tmp_path / "wrong", *options)
        assert ended.code == 1
        assert ended.what.startswith("wrong hook or layer? On 1,")
        assert "blocks.1.hook_resid_post" in ended.what
        assert "--site" in ended.hint
    changed = {name for name, data in tree(WORKSPACE).items() if before.get(name) != data}
    assert {Path(name).suffix for name in changed} <= {".log", ".lock"}


def files_of_work() -> dict[str, bytes]:
    return {name: data for name, data in tree(WORKSPACE).items() if not name.endswith(".lock")}


def test_a_dry_run_says_the_same_and_writes_nothing(
    theirs: Path, stored: None, ghosttrack: Callable[..., Ended]
) -> None:
    before = files_of_work()
    plan = ghosttrack("import", theirs, "--dry-run", "--json").document["plan"]
    assert files_of_work() == before
    done = ghosttrack("import", theirs, "--json").document
    varying = {"bytes_free", "command", "schema"}
    assert {k: v for k, v in done.items() if k not in varying} == {
        k: v for k, v in plan.items() if k not in varying
    }


def test_without_a_model_it_is_said_to_be_unchecked(
    theirs: Path, ghosttrack: Callable[..., Ended]
) -> None:
    ended = ghosttrack("import", theirs)
    assert ended.code == 0, ended.err
    assert "not checked on text" in ended.err
    assert "FVU" not in ended.out
    (layer,) = ghosttrack("status", "--json").document["layers"]
    assert (layer["training"]["fvu"], layer["training"]["imported"]["tokens"]) == (None, None)


def test_an_sae_that_stands_is_not_replaced_unless_asked(
    theirs: Path, tmp_path: Path, stored: None, ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack("train").code == 0
    before = tree(CHECKPOINTS)
    refused = ghosttrack("import", theirs)
    assert (refused.code, refused.what.startswith("layer 1 has an SAE already")) == (3, True)
    assert tree(CHECKPOINTS) == before
    assert ghosttrack("import", theirs, "--overwrite").code == 2  # nobody to ask, no --yes
    assert tree(CHECKPOINTS) == before
    assert ghosttrack("import", theirs, "--overwrite", "--yes").code == 0
    assert {name.partition("/")[0] for name in tree(CHECKPOINTS)} == {
        "sae_layer_1_best",
        ".sae_layer_1.readers.lock",
    }
    assert ghosttrack("status", "--json").document["layers"][0]["training"]["state"] == "imported"


def test_training_in_its_place_has_to_be_asked_for(
    theirs: Path, stored: None, ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack("import", theirs).code == 0
    for options in ((), ("--dry-run",)):
        refused = ghosttrack("train", *options)
        assert (refused.code, "was imported from" in refused.err) == (3, True), refused.err
    assert ghosttrack("train", "--overwrite", "--yes").code == 0
    training = ghosttrack("status", "--json").document["layers"][0]["training"]
    assert (training["state"], training["imported"]) == ("finished", None)


def test_what_does_not_fit_is_said_field_by_field(
    theirs: Path, tmp_path: Path, stored: None, ghosttrack: Callable[..., Ended]
) -> None:
    place = ghosttrack("import", theirs, "--site", "2.mlp_out")
    assert place.code == 3
    assert (
        "hook_name: blocks.1.hook_resid_post on disk, blocks.2.hook_mlp_out requested" in place.err
    )
    width = ghosttrack("import", made.gemma_scope(tmp_path), "--layer", "10")
    assert width.code == 3  # the store has no rows of it, but a model
    assert f"d_model: {made.D} on disk, {D} requested" in width.err
    assert "model_name: google/gemma-2-2b on disk" in width.err
    narrow = tmp_path / "narrow"
    made.saelens(narrow)
    config = json.loads((narrow / "cfg.json").read_text())
    config["metadata"]["hook_name"] = "blocks.1.hook_resid_post"
    (narrow / "cfg.json").write_text(json.dumps(config))
    refused = ghosttrack("import", narrow)
    assert refused.code == 3
    assert f"d_model: {made.D} on disk, {D} requested" in refused.err
    assert "model_name" not in refused.err  # both are called gpt2


def test_a_site_that_nobody_names_is_asked_for(
    tmp_path: Path, ghosttrack: Callable[..., Ended]
) -> None:
    folder = tmp_path / "mine"
    made.gemma_scope(tmp_path).rename(folder)
    ended = ghosttrack("import", folder)
    assert (ended.code, ended.hint) == (2, "name it: --layer 6, or --site 6.mlp_out")
    assert ghosttrack("import", folder, "--site", "6.mlp_out").code == 0
    assert (CHECKPOINTS / "sae_layer_6.mlp_out_best" / "cfg.json").is_file()
    assert ghosttrack("import", folder, "--site", "six").code == 2


def test_a_damaged_import_names_the_import(theirs: Path, ghosttrack: Callable[..., Ended]) -> None:
    assert ghosttrack("import", theirs).code == 0
    path = CHECKPOINTS / "sae_layer_1_best" / "sae_weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    ended = ghosttrack("status", "--verify")
    assert (ended.code, ended.hint) == (3, f"ghosttrack import {theirs} --site 1 --overwrite")


@pytest.fixture
def on_hub(hub_root: Path, hub_here: Hub) -> Hub:
    made.sparsify(hub_root / "models" / "org" / "saes", "layers.1")
    made.sparsify(hub_root / "models" / "org" / "saes", "layers.2.mlp")
    return hub_here


def test_from_the_hub(on_hub: Hub, ghosttrack: Callable[..., Ended]) -> None:
    above = ghosttrack("import", "hub:org/saes")
    assert (above.code, above.hint) == (2, "name one: hub:org/saes/layers.1")
    assert above.what == "hub:org/saes has 2 SAEs: layers.1, layers.2.mlp"
    document = ghosttrack("import", "hub:org/saes/layers.2.mlp@main", "--json").document
    assert (document["layer"], document["family"]) == ("2.mlp_out", "sparsify")
    assert (document["k"], document["model_name"]) == (made.K, "org/model")
    fetched = [one for one in on_hub.requests if "/resolve/" in one]
    assert fetched
    assert not any("layers.1/" in one for one in fetched)
    on_hub.fail(503)
    again = ghosttrack("import", "hub:org/saes/layers.2.mlp", "--overwrite", "--yes", "--json")
    assert again.code == 0, again.err  # of the cache
    missing = ghosttrack("import", "hub:org/saes/layers.1")
    assert (missing.code, "unavailable (HTTP 503)" in missing.err) == (1, True)


def test_what_the_hub_does_not_have(on_hub: Hub, ghosttrack: Callable[..., Ended]) -> None:
    ended = ghosttrack("import", "hub:org/nothing/layers.1")
    assert (ended.code, "the hub refuses" in ended.err) == (1, True)
    ended = ghosttrack("import", "hub:org/saes/layers.9")
    assert (ended.code, "no SAE of a kind that is known here" in ended.err) == (2, True)
    ended = ghosttrack("import", "hub:org/saes/layers.1@other")
    assert (ended.code, "the hub does not have" in ended.err) == (1, True)
