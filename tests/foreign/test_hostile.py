"""Files that are damaged, or made to harm, end in a clear error; nothing in them runs."""

from __future__ import annotations

import json
import os
import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.foreign import made

from ghosttrack_cli.errors import CorruptionError, GhostTrackError, ModelError
from ghosttrack_cli.foreign.source import OnHub, read_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")


class Runs:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def refused(path: Path, words: str, kind: type[GhostTrackError] = CorruptionError) -> None:
    with pytest.raises(kind, match=words):
        read_source(str(path), None)


def npz(folder: Path, **arrays: Any) -> Path:
    plain = {name: one.numpy() for name, one in made.five().items()}
    np.savez(folder / "params.npz", **(plain | arrays))
    return folder


def test_an_array_of_objects(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    refused(
        npz(tmp_path, threshold=np.array([Runs(canary)], dtype=object)), "not an array of numbers"
    )
    assert not canary.exists()


@pytest.mark.parametrize("name", ["ae.pt", "layer14.sae.pt"])
@pytest.mark.parametrize("beside_tensors", [False, True])
def test_a_pickle_that_would_run(tmp_path: Path, name: str, beside_tensors: bool) -> None:
    canary = tmp_path / "canary"
    folder = made.dictionary(tmp_path / f"SAE-Res-M-W1K-L0_{made.K}", "AutoEncoder")
    tensors = made.DICTIONARIES["AutoEncoder"] if beside_tensors else {}
    made.write_torch(folder / name, {**tensors, "more": Runs(canary)})
    refused(folder if name == "ae.pt" else folder / name, "mkdir", ModelError)
    assert not canary.exists()


def test_a_pickle_without_an_archive(tmp_path: Path) -> None:
    folder = made.dictionary(tmp_path, "AutoEncoder")
    torch.save(  # noqa: TID251 - as before 1.6
        made.DICTIONARIES["AutoEncoder"], folder / "ae.pt", _use_new_zipfile_serialization=False
    )
    with pytest.raises(CorruptionError, match="not an archive") as caught:
        read_source(str(folder), None)
    assert "safetensors" in str(caught.value.hint)


def test_a_tensor_that_repeats_one_number_without_end(tmp_path: Path) -> None:
    folder = made.dictionary(tmp_path, "JumpReluAutoEncoder")
    one = torch.ones(1)
    many = {"b_dec": one.expand(2**60)}
    made.write_torch(folder / "ae.pt", made.DICTIONARIES["JumpReluAutoEncoder"] | many)
    refused(folder, "larger than its storage")


def test_members_that_torch_does_not_write(tmp_path: Path) -> None:
    folder = made.dictionary(tmp_path, "AutoEncoder")
    with zipfile.ZipFile(folder / "ae.pt", "a") as archive:
        archive.writestr("archive/code/model.py", "raise SystemExit")
    refused(folder, "not a member of torch.save")


def test_packed_members(tmp_path: Path) -> None:
    folder = made.dictionary(tmp_path, "AutoEncoder")
    before = zipfile.ZipFile(folder / "ae.pt")
    with zipfile.ZipFile(folder / "again.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in before.namelist():
            archive.writestr(name, before.read(name))
    (folder / "again.pt").rename(folder / "ae.pt")
    refused(folder, "packed, as torch.save does not")


def test_a_storage_of_another_size(tmp_path: Path) -> None:
    folder = made.dictionary(tmp_path, "AutoEncoder")
    made.rewritten(folder / "ae.pt", lambda name, data: data[:8] if "/data/0" in name else data)
    refused(folder, "damaged")


def test_an_archive_that_would_fill_the_memory(tmp_path: Path) -> None:
    path = npz(tmp_path) / "params.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("W_enc.npy", bytes(2**28))
    assert path.stat().st_size < 2**20
    refused(tmp_path, "would unfold to 268,435,456")


def test_a_header_that_asks_for_more_than_there_is(tmp_path: Path) -> None:
    path = npz(tmp_path) / "params.npz"

    def longer(name: str, data: bytes) -> bytes:
        return (
            data.replace(b"(20, 6), ", b"(9999999999999, 6),", 1) if name == "W_dec.npy" else data
        )

    made.rewritten(path, longer)
    refused(tmp_path, "W_dec.npy")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"W_enc": np.full((made.D, made.F), np.nan, np.float32)}, "W_enc is not finite"),
        ({"b_dec": np.full(made.D, np.inf, np.float32)}, "b_dec is not finite"),
        ({"W_enc": made.W_ENC.T.numpy()}, "b_enc has the shape"),
        ({"W_dec": made.W_DEC.T.numpy()}, "W_dec has the shape"),
        ({"threshold": np.zeros((2, 2), np.float32)}, "threshold has the shape"),
        ({"W_enc": np.zeros(3, np.float32)}, "W_enc has the shape"),
        ({"W_enc": np.zeros((0, made.F), np.float32)}, "W_enc has the shape"),
        ({"W_enc": np.zeros((made.D, made.F), np.int32)}, "W_enc is not finite"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    refused(npz(tmp_path, **changed), words)


def test_a_missing_tensor_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "params.npz", w_enc=made.W_ENC.numpy())
    refused(tmp_path, "no W_enc in .*: it has w_enc")


FIELDS: dict[str, tuple[Callable[[Path], Path], str, list[str], str]] = {
    "k of SAELens": (
        lambda path: made.saelens(path, architecture="topk", k=3),
        "cfg.json",
        ["k"],
        "k out of range",
    ),
    "d_in of SAELens": (made.saelens, "cfg.json", ["d_in"], "d_in out of range"),
    "k of sparsify": (made.sparsify, "cfg.json", ["k"], "no k in"),
    "d_in of sparsify": (made.sparsify, "cfg.json", ["d_in"], "d_in is None"),
    "class": (
        lambda path: made.dictionary(path, "AutoEncoder"),
        "config.json",
        ["trainer", "dict_class"],
        "no trainer.dict_class",
    ),
    "trainer": (
        lambda path: made.dictionary(path, "AutoEncoder"),
        "config.json",
        ["trainer"],
        "no trainer",
    ),
    "k of dictionary_learning": (
        lambda path: made.dictionary(path, "AutoEncoderTopK"),
        "config.json",
        ["trainer", "k"],
        "no k in",
    ),
}


@pytest.mark.parametrize("value", ["missing", "7", -1, {}, 1e400])
@pytest.mark.parametrize("case", FIELDS)
def test_fields_that_are_missing_or_of_another_kind(tmp_path: Path, case: str, value: Any) -> None:
    make, name, keys, words = FIELDS[case]
    path = make(tmp_path) / name
    document = json.loads(path.read_text())
    inner = document
    for key in keys[:-1]:
        inner = inner[key]
    if value == "missing":
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    path.write_text(json.dumps(document))
    with pytest.raises(GhostTrackError) as caught:
        read_source(str(path.parent), None)
    if value == "missing":
        assert words in caught.value.what


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"PK\x03\x04", b"\x80\x04.", b"\0" * 100])
def test_files_of_anything(tmp_path: Path, data: bytes) -> None:
    places = [
        (made.saelens(tmp_path / "a"), ("cfg.json", "sae_weights.safetensors")),
        (made.sparsify(tmp_path / "b"), ("cfg.json", "sae.safetensors")),
        (made.gemma_scope(tmp_path / "c"), ("params.npz",)),
        (made.gemma_scope_2(tmp_path / "d"), ("params.safetensors",)),
        (made.dictionary(tmp_path / "e", "AutoEncoder"), ("config.json", "ae.pt")),
    ]
    for folder, names in places:
        for name in names:
            before = (folder / name).read_bytes()
            (folder / name).write_bytes(data)
            with pytest.raises(GhostTrackError):
                read_source(str(folder), None)
            (folder / name).write_bytes(before)
        read_source(str(folder), None)


def test_ordered_dictionaries_are_tensors_too(tmp_path: Path) -> None:
    folder = made.dictionary(tmp_path, "AutoEncoder")
    torch.save(  # noqa: TID251 - a state_dict
        OrderedDict(made.DICTIONARIES["AutoEncoder"]), folder / "ae.pt"
    )
    assert read_source(str(folder), None).sae.d_hidden == made.F


@pytest.mark.parametrize(
    "text",
    ["hub:", "hub:gpt2", "hub:../x/y", "hub:a/b/../../c", "hub:a/b@", "hub:a/b@x y", "hub:/a/b"],
)
def test_places_that_the_hub_cannot_have(text: str) -> None:
    refused_text(text)


def refused_text(text: str) -> None:
    with pytest.raises(GhostTrackError, match="not a place on the hub"):
        read_source(text, None)


def test_places_on_the_hub() -> None:
    assert OnHub.parse("hub:a/b") == OnHub("a/b", "", None)
    assert OnHub.parse("hub:a/b/c/d.e/") == OnHub("a/b", "c/d.e", None)
    assert OnHub.parse("hub:a/b/layers.10@refs/pr/1") == OnHub("a/b", "layers.10", "refs/pr/1")
