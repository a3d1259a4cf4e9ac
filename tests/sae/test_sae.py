"""The SAE by hand, folded, on disk, and what is refused."""

from __future__ import annotations

import json
import pickle  # noqa: TID251 - to show that none is ever opened
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, LockedError, ModelError, StateError
from ghosttrack_cli.files import places
from ghosttrack_cli.sae import folder as sae_folders
from ghosttrack_cli.sae.checksums import read_sums
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.tensorfiles import read_tensors
from ghosttrack_cli.workspace import sae_readers_lock

SAE_LENS_KEYS = {"W_enc": [8, 24], "W_dec": [24, 8], "b_enc": [24], "b_dec": [8], "threshold": [24]}


def some_sae(seed: int = 0) -> JumpReLUSAE:
    generator = torch.Generator().manual_seed(seed)
    sae = JumpReLUSAE(8, 24, 0.3, seed=seed, metadata={"model_name": "gpt2"})
    sae.b_enc.copy_(torch.randn(24, generator=generator) / 10)
    sae.b_dec.copy_(torch.randn(8, generator=generator) / 10)
    return sae


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(5, 8, generator=torch.Generator().manual_seed(9))


def test_thresholds_block_exactly_the_features_below_them() -> None:
    sae = JumpReLUSAE(3, 3)
    for weight in (sae.W_enc, sae.W_dec):
        weight.copy_(torch.eye(3))
    sae.threshold.copy_(torch.tensor([1.0, 0.5, 0.25]))
    x = torch.tensor([[0.9, 0.9, 0.9], [1.0, 0.5, 0.25], [-2.0, 3.0, 0.0]])
    expected = torch.tensor([[0.0, 0.9, 0.9], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    assert torch.equal(sae.encode(x), expected)
    assert torch.equal(sae(x), expected)


def test_a_new_sae_is_tied_and_has_unit_decoder_rows() -> None:
    sae = JumpReLUSAE(16, 40, seed=3)
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(40))
    assert torch.equal(sae.W_enc, sae.W_dec.T)
    assert torch.equal(sae.W_dec, JumpReLUSAE(16, 40, seed=3).W_dec)
    assert not torch.equal(sae.W_dec, JumpReLUSAE(16, 40, seed=4).W_dec)
    assert not any(weight.requires_grad for weight in sae.parameters())


@settings(deadline=None, max_examples=30)
@given(scale=st.floats(0.01, 100), seed=st.integers(0, 100))
def test_folding_gives_the_same_function_of_raw_rows(scale: float, seed: int) -> None:
    sae = some_sae(seed)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(5, 8, generator=generator) / scale
    pre_bias = torch.randn(8, generator=generator)
    folded = sae.folded(scale, pre_bias)
    acts = sae.encode(x * scale - pre_bias)
    near = (sae.pre_acts(x * scale - pre_bias) - sae.threshold).abs() < 1e-4
    torch.testing.assert_close(folded.encode(x)[~near], acts[~near], atol=1e-4, rtol=1e-4)
    recon = sae.decode(folded.encode(x)) / scale
    torch.testing.assert_close(folded(x), recon, atol=1e-4 / scale, rtol=1e-4)


def test_a_saved_sae_comes_back(tmp_path: Path, rows: torch.Tensor) -> None:
    sae = some_sae()
    sae.save(tmp_path / "sae", metadata={"context_size": 64}, sparsity=torch.full((24,), 0.01))
    again = JumpReLUSAE.load(tmp_path / "sae")
    assert torch.equal(again(rows), sae(rows))
    assert again.metadata["model_name"] == "gpt2"
    assert again.metadata["context_size"] == 64
    again.save(tmp_path / "sae")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sae"]


def test_the_folder_is_what_saelens_loads(tmp_path: Path) -> None:
    some_sae().save(tmp_path / "sae", metadata={"hook_name": "h"}, sparsity=torch.zeros(24))
    config = json.loads((tmp_path / "sae" / "cfg.json").read_bytes())
    assert {name: config[name] for name in config if name != "metadata"} == {
        "architecture": "jumprelu",
        "d_in": 8,
        "d_sae": 24,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
    }
    assert config["metadata"]["sae_lens_version"] >= "6.0.0"
    assert config["metadata"]["hook_head_index"] is None
    weights = safetensors.torch.load_file(tmp_path / "sae" / "sae_weights.safetensors")
    assert {name: list(weight.shape) for name, weight in weights.items()} == SAE_LENS_KEYS
    sparsity = safetensors.torch.load_file(tmp_path / "sae" / "sparsity.safetensors")
    torch.testing.assert_close(sparsity["sparsity"], torch.full((24,), -10.0))


def test_an_sae_of_another_program_loads_with_its_input_bias(
    tmp_path: Path, rows: torch.Tensor
) -> None:
    """SAELens subtracts b_dec from the input unless told otherwise, and writes no checksums."""
    sae = some_sae()
    sae.save(tmp_path / "sae")
    (tmp_path / "sae" / "checksums.json").unlink()
    config = json.loads((tmp_path / "sae" / "cfg.json").read_bytes())
    del config["apply_b_dec_to_input"]
    (tmp_path / "sae" / "cfg.json").write_text(json.dumps(config))
    loaded = JumpReLUSAE.load(tmp_path / "sae")
    torch.testing.assert_close(loaded.encode(rows), sae.encode(rows - sae.b_dec))


def test_a_process_killed_while_replacing_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sae"
    some_sae(0).save(folder)
    moves = []

    class Killed(BaseException):
        pass

    def rename(source: Path, target: Path) -> None:
        moves.append(target)
        if len(moves) == 2:
            raise Killed
        source.replace(target)

    with monkeypatch.context() as patch:
        patch.setattr(places, "rename", rename)
        with pytest.raises(Killed):
            some_sae(1).save(folder)
    assert torch.equal(JumpReLUSAE.load(folder).W_enc, some_sae(0).W_enc)
    some_sae(1).save(folder)
    assert torch.equal(JumpReLUSAE.load(folder).W_enc, some_sae(1).W_enc)


def test_an_sae_that_is_replaced_while_it_is_read_is_one_of_the_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sae_layer_3_best"
    some_sae(0).save(folder)
    read, at = read_tensors, []

    def replaced_meanwhile(path: Path, **limits: Any) -> dict[str, torch.Tensor]:
        at.append(path.parent)
        if len(at) == 1:
            some_sae(1).save(folder)
        return read(path, **limits)

    monkeypatch.setattr(sae_folders, "read_tensors", replaced_meanwhile)
    assert torch.equal(JumpReLUSAE.load(folder).W_enc, some_sae(1).W_enc)
    assert at == [folder, folder]


@pytest.mark.parametrize("place", ["", "sae_layer_3_ready", "sae_layer_3_new"])
def test_nobody_replaces_an_sae_while_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    folder, lock = tmp_path / place / "sae_layer_3_best", sae_readers_lock(tmp_path, 3)
    some_sae(0).save(folder)
    read, said = read_sums, []

    def retrained_meanwhile(path: Path) -> dict[str, str]:
        with pytest.raises(LockedError) as caught, files.exclusive_lock(lock, purpose="train"):
            pass
        said.append(caught.value.what)
        return read(path)

    monkeypatch.setattr(sae_folders, "read_sums", retrained_meanwhile)
    JumpReLUSAE.load(folder)
    assert "JumpReLUSAE.load" in said[0]
    with (
        files.exclusive_lock(lock, purpose="train --overwrite of layer 3"),
        pytest.raises(LockedError, match="train --overwrite of layer 3"),
    ):
        JumpReLUSAE.load(folder)
    JumpReLUSAE.load(folder)


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no SAE here"):
        JumpReLUSAE.load(tmp_path / "typo" / "sae_layer_3_best")
    assert not list(tmp_path.iterdir())


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["pickle", "zip", "random", "empty"])
def test_what_is_not_safetensors_is_refused_unopened(tmp_path: Path, kind: str) -> None:
    folder, canary = tmp_path / "sae", tmp_path / "canary"
    some_sae().save(folder)
    data = {
        "pickle": pickle.dumps(Canary(canary)),
        "zip": b"PK\x03\x04" + pickle.dumps(Canary(canary)),
        "random": bytes(range(256)),
        "empty": b"",
    }[kind]
    (folder / "sae_weights.safetensors").write_bytes(data)
    (folder / "checksums.json").unlink()
    with pytest.raises(CorruptionError, match="safetensors"):
        JumpReLUSAE.load(folder)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["cfg.json", "sae_weights.safetensors", "checksums.json"])
def test_a_flipped_bit_is_noticed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "sae"
    some_sae().save(folder)
    data = bytearray((folder / name).read_bytes())
    data[len(data) * 3 // 4] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(CorruptionError):
        JumpReLUSAE.load(folder)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"d_in": 10**9}, CorruptionError),
        ({"d_sae": -1}, CorruptionError),
        ({"d_sae": "24"}, CorruptionError),
        ({"d_in": 9}, CorruptionError),
        ({"architecture": "topk"}, ModelError),
        ({"normalize_activations": "layer_norm"}, ModelError),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception]
) -> None:
    folder = tmp_path / "sae"
    some_sae().save(folder)
    (folder / "checksums.json").unlink()
    config = json.loads((folder / "cfg.json").read_bytes())
    (folder / "cfg.json").write_text(json.dumps(config | changes))
    with pytest.raises(error):
        JumpReLUSAE.load(folder)


def test_a_missing_sae_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no SAE here") as caught:
        JumpReLUSAE.load(tmp_path / "none")
    assert "ghosttrack train" in str(caught.value.hint)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    sae = some_sae()
    sae.W_dec[3, 2] = float("nan")
    sae.save(tmp_path / "sae")
    with pytest.raises(CorruptionError, match="W_dec is not finite"):
        JumpReLUSAE.load(tmp_path / "sae")
