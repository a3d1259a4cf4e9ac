"""`ghosttrack export`: what it writes is what dictionary_learning reads."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from tests.store import kills
from tests.store.kills import Failpoints

from ghosttrack_cli.export import dictionary_learning
from ghosttrack_cli.export.dictionary_learning import export_sae
from ghosttrack_cli.sae.jumprelu import KEYS, JumpReLUSAE
from ghosttrack_cli.sae.relu import ReLUSAE
from ghosttrack_cli.sae.topk import TopKSAE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended

    from ghosttrack_cli.sae.linear import LinearSAE


@pytest.fixture
def trained(tmp_path: Path) -> dict[int, JumpReLUSAE]:
    """The best SAEs of two layers in the default workspace."""
    saes = {
        layer: JumpReLUSAE(8, 32, 0.1 * layer, metadata={"model_name": "m"}) for layer in (0, 6)
    }
    for layer, sae in saes.items():
        sae.save(tmp_path / "ghosttrack-data" / "checkpoints" / f"sae_layer_{layer}_best")
    return saes


def test_each_layer_gets_a_folder_with_the_same_tensors(
    trained: dict[int, JumpReLUSAE], ghosttrack: Callable[..., Ended], tmp_path: Path
) -> None:
    document = ghosttrack("export", "--to", tmp_path / "out", "--json").document
    assert document["layers"] == {str(k): str(tmp_path / "out" / f"layer_{k}") for k in (0, 6)}
    for layer, sae in trained.items():
        folder = tmp_path / "out" / f"layer_{layer}"
        found = torch.load(folder / "ae.pt", weights_only=True)  # noqa: TID251 - our own
        assert set(found) == set(KEYS)
        assert all(torch.equal(found[name], getattr(sae, name)) for name in KEYS)
        trainer = json.loads((folder / "config.json").read_text())["trainer"]
        assert trainer["dict_class"] == "JumpReluAutoEncoder"
        assert (trainer["activation_dim"], trainer["dict_size"]) == (8, 32)
        assert (trainer["layer"], trainer["lm_name"]) == (layer, "m")


def test_without_a_folder_it_goes_into_the_workspace(
    trained: dict[int, JumpReLUSAE], ghosttrack: Callable[..., Ended], tmp_path: Path
) -> None:
    assert ghosttrack("export", "--layer", "6").out == (
        "layer 6: ghosttrack-data/exports/layer_6\n"
    )
    assert (tmp_path / "ghosttrack-data" / "exports" / "layer_6" / "ae.pt").is_file()


def test_other_architectures_are_written_as_the_classes_that_read_them(
    ghosttrack: Callable[..., Ended], tmp_path: Path
) -> None:
    """Both subtract b_dec from a row before they encode it, and hold their matrices turned."""
    tensors, x = JumpReLUSAE(8, 32, 0.0).weights(), torch.linspace(-1, 1, 40).reshape(5, 8)
    tensors["b_dec"] = torch.linspace(-1, 1, 8)
    saes: list[LinearSAE] = [
        ReLUSAE.from_weights(tensors),
        TopKSAE.from_weights(tensors, k=3),
    ]
    for layer, sae in enumerate(saes):
        sae.save(tmp_path / "ghosttrack-data" / "checkpoints" / f"sae_layer_{layer}_best")
    ghosttrack("export", "--to", tmp_path / "out", "--json")
    for layer, (sae, name) in enumerate(zip(saes, ("AutoEncoder", "AutoEncoderTopK"), strict=True)):
        folder = tmp_path / "out" / f"layer_{layer}"
        found = torch.load(folder / "ae.pt", weights_only=True)  # noqa: TID251 - our own
        trainer = json.loads((folder / "config.json").read_text())["trainer"]
        assert trainer["dict_class"] == name
        bias = found["bias" if layer == 0 else "b_dec"]
        h = (x - bias) @ found["encoder.weight"].T + found["encoder.bias"]
        torch.testing.assert_close(h, sae.pre_acts(x))
        acts = sae.encode(x)
        recon = acts @ found["decoder.weight"].T + bias
        torch.testing.assert_close(recon, sae.decode(acts))
    assert (trainer["k"], found["k"].item(), found["threshold"].item()) == (3, 3, -1.0)


def test_an_architecture_that_dictionary_learning_lacks_is_refused_by_name(
    trained: dict[int, JumpReLUSAE],
    ghosttrack: Callable[..., Ended],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(dictionary_learning.KINDS, "jumprelu")
    ended = ghosttrack("export", "--layer", "6", "--to", tmp_path / "out")
    assert (ended.code, not (tmp_path / "out").exists()) == (1, True)
    assert "no SAE of the architecture 'jumprelu'" in ended.error[0]
    assert ended.error[1] == "it has standard, topk"


def test_what_is_not_there_is_refused(
    trained: dict[int, JumpReLUSAE], ghosttrack: Callable[..., Ended]
) -> None:
    missing = ghosttrack("export", "--layer", "3")
    assert (missing.code, missing.error[0]) == (
        2,
        "--layers: layer 3 has no trained SAE, available: 0,6",
    )
    kind = ghosttrack("export", "--checkpoint", "last")
    assert (kind.code, kind.error[0]) == (2, "--checkpoint: 'last' is neither best nor final")
    none = ghosttrack("export", "--checkpoint", "final")
    assert (none.code, none.error) == (
        3,
        ("no trained SAE in ghosttrack-data/checkpoints", "ghosttrack train"),
    )


def test_a_plan_writes_nothing_and_says_what_would_be(
    trained: object, ghosttrack: Callable[..., Ended]
) -> None:
    plan = ghosttrack("export", "--dry-run", "--json", "--to", "out").document["plan"]
    assert not Path("out").exists()
    done = ghosttrack("export", "--json", "--to", "out").document
    assert plan["layers"] == done["layers"]
    written = sum(path.stat().st_size for path in Path("out").rglob("ae.pt"))
    assert plan["bytes_needed"] == pytest.approx(written, rel=0.5)
    again = ghosttrack("export", "--dry-run", "--json", "--to", "out").document["plan"]
    assert again["replaced"] == list(done["layers"].values())
    assert ghosttrack("export", "--dry-run", "--layers", "9").code == 2


class Killed(BaseException):
    """The process is gone."""


def kill() -> None:
    raise Killed


def exported(folder: Path) -> tuple[int, int] | None:
    """The widths that the weights and the configuration have; None where there is no export."""
    if not (folder / "config.json").is_file():
        return None
    weights = torch.load(folder / "ae.pt", weights_only=True)  # noqa: TID251 - our own
    config = json.loads((folder / "config.json").read_text())
    return weights["b_enc"].shape[0], config["trainer"]["dict_size"]


def test_an_export_that_is_killed_anywhere_is_the_old_one_the_new_one_or_none(
    tmp_path: Path,
) -> None:
    folder, found = tmp_path / "exports" / "layer_6", []
    for width in (32, 48):
        JumpReLUSAE(8, width).save(tmp_path / str(width))
    whole = Failpoints(0, kills.never)
    try:
        for at in range(1, 20):
            kills.install(whole)
            export_sae(tmp_path / "32", folder, layer=6)
            (folder / "eval_results.json").write_text("of another program")
            kills.install(Failpoints(at, kill))
            with suppress(Killed):
                export_sae(tmp_path / "48", folder, layer=6)
            found.append(exported(folder))
    finally:
        kills.uninstall()
    assert set(found) == {(32, 32), None, (48, 48)}
    assert (folder / "eval_results.json").is_file()
    assert found[-1] == (48, 48)
