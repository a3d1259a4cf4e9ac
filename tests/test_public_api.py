"""The Python API takes paths as strings, and refuses wrong arguments by name, with a hint."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.training.conftest import planted_rows, write_store

import ghosttrack_cli
from ghosttrack_cli import ActivationStore, GhostTrackError, JumpReLUSAE, train_sae_for_layer
from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

api: Any = ghosttrack_cli
"""Without the types, which refuse all of this before it runs."""
MODEL: Any = SimpleNamespace(residuals=None, n_layers=3, device=torch.device("cpu"))
CORPUS: Any = SimpleNamespace(documents=None)
QUICK: dict[str, Any] = {
    "sae": {"d_hidden": 16, "target_l0": 2.0},
    "training": {"epochs": 1, "batch_size": 256, "evaluations": 1},
}


@pytest.fixture
def store(workspace: Workspace) -> str:
    """The path of a small store, as a string."""
    write_store(workspace.store, planted_rows(600, D=8, F=16)[0])
    return str(workspace.store)


def extractor() -> Any:
    return api.HiddenStateExtractor(MODEL, CORPUS, workspace="w")


def store_of(here: Path) -> Any:
    write_store(here / "s.zarr", planted_rows(64, D=8, F=16)[0])
    return api.ActivationStore.open(here / "s.zarr")


def trained_as(here: Path, **given: Any) -> Any:
    return api.train_sae_for_layer(3, store_of(here).path, **given)


SETTINGS: tuple[Any, ...] = (SAESettings(), SAETrainingSettings())
WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "store, no path": (
        lambda _: api.ActivationStore.open(None),
        "path: expected a path, not None",
    ),
    "store, empty": (lambda _: api.ActivationStore.open(""), "path: a path is not empty"),
    "store, nothing there": (
        lambda here: api.ActivationStore.open(str(here / "no")),
        "no activation store",
    ),
    "store, other rows": (lambda here: store_of(here).read(3, 5, 99), "5 to 99, must be 0 to 64"),
    "store, other layer": (lambda here: store_of(here).read("3"), "layer 3 is not in the store"),
    "model, a number": (lambda _: api.GPT2WithResidualHooks(5), "model_name: .* string: 5"),
    "model, dtype": (lambda _: api.GPT2WithResidualHooks("x", dtype="int3"), "dtype: .*'int3'"),
    "model, cache": (
        lambda _: api.GPT2WithResidualHooks("x", cache_dir=3),
        "cache_dir: expected a path",
    ),
    "extractor, name": (
        lambda _: api.HiddenStateExtractor("gpt2", CORPUS),
        "model: 'gpt2' has the wrong type",
    ),
    "extractor, texts": (
        lambda _: api.HiddenStateExtractor(MODEL, ["a"]),
        r"corpus: \['a'\] has the wrong type",
    ),
    "extractor, workspace": (
        lambda _: api.HiddenStateExtractor(MODEL, CORPUS, workspace=1),
        "workspace: expected a path, not 1",
    ),
    "no tokens": (lambda _: extractor().extract_for_layer(1, 0), "num_tokens: not a whole number"),
    "tokens below 0": (lambda _: extractor().extract_all_layers(-5), "num_tokens: "),
    "half a token": (lambda _: extractor().extract_for_layer(1, 0.5), "num_tokens: "),
    "no batch": (lambda _: extractor().extract_for_layer(1, 10, 0), "batch_size: "),
    "layer, a word": (lambda _: extractor().extract_for_layer("1"), "layer_idx: .* not '1'"),
    "layer, a bool": (lambda _: extractor().extract_for_layer(True), "layer_idx: .* not True"),
    "layer, half": (lambda _: extractor().extract_for_layer(1.5), "layer_idx: .* not 1.5"),
    "layer, negative": (lambda _: extractor().extract_for_layer(-1), "layer_idx: .* not -1"),
    "layer, too large": (lambda _: extractor().extract_for_layer(3), "must be 0 to 2"),
    "site, no layer": (lambda _: api.Site("6"), "layer: expected a whole number, not '6'"),
    "site, no point": (lambda _: api.Site(6, "post"), "not a hook point: 'post'"),
    "SAE, no path": (lambda _: api.JumpReLUSAE.load(7), "folder: expected a path, not 7"),
    "SAE, a pickle": (
        lambda here: api.JumpReLUSAE.load(written(here / "sae_layer_6_best.pt")),
        "not an SAE folder",
    ),
    "SAE, the original's name": (
        lambda here: api.JumpReLUSAE.load(f"{here}/sae_layer_6_best.pt"),
        "no SAE here",
    ),
    "any SAE, no path": (lambda _: api.load_sae(None), "folder: expected a path, not None"),
    "any SAE, device": (lambda here: api.load_sae(saved(here), "gpu"), "no such device: 'gpu'"),
    "SAE, device": (lambda here: api.JumpReLUSAE.load(saved(here), "gpu"), "no such device: 'gpu'"),
    "SAE, width": (lambda _: api.JumpReLUSAE(0, 4), "d_model: expected a whole number, not 0"),
    "SAE, features": (lambda _: api.JumpReLUSAE(4, "8"), "d_hidden: .* not '8'"),
    "SAE, weights": (lambda _: api.JumpReLUSAE(4, 8, weights={}), "weights: no W_enc"),
    "trainer, layer": (
        lambda here: api.Trainer(store_of(here), "3", *SETTINGS, Workspace(here)),
        "layer: .* not '3'",
    ),
    "trainer, other layer": (
        lambda here: api.Trainer(store_of(here), 5, *SETTINGS, Workspace(here)).run(),
        "layer 5 is not in the store",
    ),
    "train, the original's states": (
        lambda here: api.train_sae_for_layer(6, f"{here}/cache/hidden_states/layer_6_states.pt"),
        "hidden_states_path: no store here",
    ),
    "train, no path": (
        lambda _: api.train_sae_for_layer(6, None),
        "hidden_states_path: expected a path",
    ),
    "train, no folder": (lambda here: trained_as(here, save_dir=1), "save_dir: expected a path"),
    "train, settings": (lambda here: trained_as(here, training=5), "expected SAETrainingSettings"),
    "train, epochs": (lambda here: trained_as(here, training={"epochs": 0}), "epochs: .*: 0"),
    "train, unknown": (lambda here: trained_as(here, sae={"F": 8}), "F: .* not permitted: 8"),
    "train, device": (lambda here: trained_as(here, device="tpu"), "device: "),
    "analysis, one string": (
        lambda here: api.analyze_sae(saved(here), MODEL, 1, "one string"),
        "texts: one string is not a list",
    ),
    "analysis, numbers": (
        lambda here: api.analyze_sae(saved(here), MODEL, 1, ["a", 5]),
        r"texts\[1\]: expected a text, not 5",
    ),
    "analysis, nothing": (lambda here: api.analyze_sae(saved(here), MODEL, 1, []), "no texts"),
    "analysis, layer": (
        lambda here: api.analyze_sae(saved(here), MODEL, "1", ["a"]),
        "layer_idx: ",
    ),
    "analysis, model": (
        lambda here: api.analyze_sae(saved(here), "gpt2", 1, ["a"]),
        "model_wrapper: ",
    ),
    "analysis, no SAE": (
        lambda here: api.analyze_sae(f"{here}/sae_layer_6_best.pt", MODEL, 1, ["a"]),
        "no SAE here",
    ),
    "analysis, results": (
        lambda here: api.analyze_sae(saved(here), MODEL, 1, ["a"], save_dir=2),
        "save_dir: expected a path, not 2",
    ),
    "articles": (lambda _: api.WikipediaCorpus().get_texts(-1), "n: expected a whole number"),
    "batches": (
        lambda _: api.WikipediaCorpus().get_text_batches(0),
        "batch_size: expected a whole number",
    ),
    "corpus, cache": (lambda _: api.WikipediaCorpus(5), "cache_dir: expected a path, not 5"),
    "questions": (lambda _: api.load_truthfulqa(5), "path: expected a path, not 5"),
    "settings, file": (lambda _: api.load_settings(5), "config: expected a path, not 5"),
    "settings, overrides": (lambda _: api.load_settings(None, [1]), "overrides: expected a dict"),
    "summary of all": (lambda _: api.print_feature_summary([]), "not one record of analyze_sae"),
    "summary of a part": (lambda _: api.print_feature_summary({"feature_id": 1}), "not one record"),
}


def written(path: Path) -> Path:
    path.write_bytes(b"\x80\x02")
    return path


def saved(here: Path) -> str:
    JumpReLUSAE(8, 16).save(str(here / "sae"))
    return str(here / "sae")


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_with_a_hint(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, words = WRONG[case]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GhostTrackError, match=words) as caught:
        call(tmp_path)
    assert caught.value.hint or "must be" in caught.value.what


def test_every_public_name_is_tried_here() -> None:
    tried = {name for call, _ in WRONG.values() for name in names_in(call.__code__)}
    nothing_to_pass = {"GhostTrackError", "SAE", "Settings", "__version__"}
    assert set(ghosttrack_cli.__all__) <= tried | nothing_to_pass


def names_in(code: Any) -> set[str]:
    """The attributes of the package that a case names, those of its helpers too."""
    names = set(code.co_names)
    code_of = [getattr(globals().get(name), "__code__", None) for name in names]
    return names.union(*(one.co_names for one in code_of if one is not None))


def test_strings_and_numpy_numbers_are_taken_everywhere(store: str, tmp_path: Path) -> None:
    assert ActivationStore.open(store).rows == 600
    folder = tmp_path / "models" / "checkpoints"
    layer: Any = np.int64(3)
    history = train_sae_for_layer(layer, store, str(folder), "cpu", **QUICK)
    assert len(history["step"]) == 1
    assert train_sae_for_layer(3, str(Path(store).parent), folder, "cpu", **QUICK) == history
    whole = JumpReLUSAE.load(str(folder / "sae_layer_3_best"))
    by_old_name = JumpReLUSAE.load(f"{folder}/sae_layer_3_best.pt", "auto")
    assert torch.equal(whole.W_dec, by_old_name.W_dec.cpu())
    whole.save(str(tmp_path / "copy"))
    assert torch.equal(JumpReLUSAE.load(tmp_path / "copy").W_enc, whole.W_enc)


def test_the_home_folder_is_meant_by_its_sign(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(Path(store).parent))
    assert ActivationStore.open("~/activations.zarr").rows == 600
