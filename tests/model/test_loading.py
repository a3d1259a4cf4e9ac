from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ghosttrack_cli.errors import GhostTrackError, HubError, ModelError, UsageError
from ghosttrack_cli.model.found import find_model
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.model.source import find_source
from ghosttrack_cli.model.tokenizer import open_tokenizer
from ghosttrack_cli.settings.schema import ModelSettings

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that may be damaged."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def load(folder: Path | str) -> ResidualModel:
    return ResidualModel.load(ModelSettings(name=str(folder), device="cpu"))


def edit_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def test_description_needs_no_weights(folder: Path) -> None:
    size = (folder / "model.safetensors").stat().st_size
    (folder / "model.safetensors").write_bytes(b"\0" * size)
    description = find_model(ModelSettings(name=str(folder))).description
    assert (description.n_layers, description.d_model, description.vocab_size) == (3, 16, 257)
    assert (description.max_context, description.architecture) == (32, "gpt2")
    assert (description.weight_bytes, description.download_bytes) == (size, 0)


def test_identity_follows_the_bytes_and_not_the_place(folder: Path, tiny_model: Path) -> None:
    original, copy = load(tiny_model).identity, load(folder).identity
    assert copy.weights_sha256 == original.weights_sha256
    assert copy.tokenizer_sha256 == original.tokenizer_sha256
    weights = load_file(folder / "model.safetensors")
    weights["transformer.wpe.weight"][0, 0] += 1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert load(folder).identity.weights_sha256 != original.weights_sha256


def test_shards_are_loaded_and_hashed_together(
    folder: Path, make_random_model: Callable[..., Any], byte_tokenizer: Any
) -> None:
    shutil.rmtree(folder)
    make_random_model("gpt2").save_pretrained(folder, max_shard_size="20KB")
    byte_tokenizer.save_pretrained(folder)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert len(load(folder).identity.weights_sha256) == 64
    next(iter(folder.glob("model-00002*"))).unlink()
    with pytest.raises(ModelError, match=r"weights missing: .* lacks model-00002"):
        load(folder)


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_weights_are_refused_and_never_run(
    name: str, zipped: bool, folder: Path, tmp_path: Path
) -> None:
    (folder / "model.safetensors").unlink()
    canary = tmp_path / "canary"
    torch.save(  # noqa: TID251 - the attack
        {"weight": Canary(canary)}, folder / name, _use_new_zipfile_serialization=zipped
    )
    with pytest.raises(ModelError, match="pickle"):
        load(folder)
    assert not canary.exists()


@pytest.mark.parametrize("length", [0x10280, 0x10380, 0x10480, 0x10580])
def test_the_length_of_a_header_is_not_taken_for_a_pickle(folder: Path, length: int) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    path.write_bytes(length.to_bytes(8, "little") + data[8:start].ljust(length) + data[start:])
    assert path.read_bytes()[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
    assert load(folder).identity.name == folder.name


def test_a_pickle_beside_the_weights_is_not_opened(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    torch.save({"weight": Canary(canary)}, folder / "pytorch_model.bin")  # noqa: TID251
    (folder / ".metadata").write_bytes((folder / "pytorch_model.bin").read_bytes())
    load(folder)
    assert not canary.exists()


def test_code_beside_the_weights_is_not_run(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    code = f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n"
    (folder / "evil.py").write_text(code)
    evil = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    edit_config(folder, auto_map=evil, model_type="evil")
    with pytest.raises(ModelError, match="'evil'"):
        load(folder)
    assert not canary.exists()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "no model: .* has no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "configuration damaged: .*not valid JSON"),
        (lambda f: (f / "config.json").write_text("[1]"), "not a JSON object"),
        (lambda f: edit_config(f, model_type="none_such"), "model_type 'none_such'"),
        (lambda f: edit_config(f, n_layer=10**9), "num_hidden_layers is 1000000000, must be"),
        (lambda f: edit_config(f, n_embd="wide"), "config"),
        (lambda f: edit_config(f, n_embd=32), "weights do not match the configuration"),
        (lambda f: edit_config(f, n_layer=4), r"weights missing: .* lacks 12: transformer\.h\.3"),
        (lambda f: edit_config(f, quantization_config={"quant_method": "x"}), "quantised|usable"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights: .* has no model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "weights damaged"),
        (lambda f: truncate(f / "model.safetensors"), "weights damaged"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "cannot use the tokenizer"),
        (lambda f: edit_config(f, vocab_size=100), "tokenizer does not match the model"),
    ],
)
def test_damage_is_named(damage: Callable[[Path], object], message: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(ModelError, match=message):
        load(folder)


def test_a_folder_without_a_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        open_tokenizer(find_source(ModelSettings(name=str(folder))))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "a/b/c", "../x", "gpt2\x1b[0m"])
def test_a_name_that_can_be_neither_folder_nor_hub_id(name: str) -> None:
    with pytest.raises(UsageError, match="no such folder, and not a hub id") as caught:
        load(name)
    assert "--model DIR" in str(caught.value.hint)


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        load(folder / "config.json")


def test_without_a_hub_the_error_says_so_and_the_cache_still_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cache = tmp_path / "cache"
    settings = ModelSettings(name="someone/model", device="cpu")
    with pytest.raises(HubError, match="offline"):
        ResidualModel.load(settings, cache_dir=cache)
    repository = cache / "models--someone--model"
    shutil.copytree(folder, repository / "snapshots" / ("a" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    model = ResidualModel.load(settings, cache_dir=cache)
    assert (model.identity.name, model.identity.revision) == ("someone/model", "a" * 40)


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there(device: str, folder: Path) -> None:
    with pytest.raises(GhostTrackError, match="device"):
        ResidualModel.load(ModelSettings(name=str(folder), device=device))
