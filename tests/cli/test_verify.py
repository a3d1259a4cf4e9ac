"""`status --verify` names every file that is not as it was written, and the command that helps."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.plan_states import DATA, TRAINED
from tests.support.files import tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended

RETRAIN = "ghosttrack train --layers 0 --overwrite"
STORE_REPORT = "ghosttrack interpret --layers 0 --texts store"
PAGE = "ghosttrack interpret"
HOW = {
    "checkpoints/sae_layer_0_best/sae_weights.safetensors": RETRAIN,
    "checkpoints/sae_layer_0_final/cfg.json": RETRAIN,
    "checkpoints/sae_layer_0_final/checksums.json": RETRAIN,
    "checkpoints/sae_layer_0_last/*.safetensors": RETRAIN,
    "checkpoints/sae_layer_0_last/*.json": RETRAIN,
    "interpretations/layer_0/store/features/000.json": STORE_REPORT,
    "interpretations/layer_0/store/summary.json": STORE_REPORT,
    "interpretations/layer_0_interpretations.json": STORE_REPORT,
    "interpretations/browser/data/layer_0/store/features-0000.js": PAGE,
    "interpretations/browser/data/layer_0/store/made_from.json": PAGE,
    "interpretations/browser/data/catalogue.js": PAGE,
    "interpretations/browser/app.js": PAGE,
    "interpretations/browser/files.json": PAGE,
    "interpretations/index.html": PAGE,
}
VARYING = {".log", ".lock"}


@pytest.fixture
def whole(tiny_model: Path, texts: Path, ghosttrack: Callable[..., Ended]) -> dict[str, bytes]:
    """A workspace with one layer that went through all stages: its files."""
    base = ("--model", tiny_model, "--corpus", texts, "--layers", "0", "--tokens", "2k")
    assert ghosttrack("extract", *base, "--context-length", "32").code == 0
    assert ghosttrack("train", *TRAINED).code == 0
    assert ghosttrack("interpret").code == 0
    return tree(DATA, without=VARYING)


def flip(path: Path) -> bytes:
    """Change one bit in the middle; the bytes before."""
    before = path.read_bytes()
    middle = len(before) // 2
    path.write_bytes(before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :])
    return before


def test_a_flipped_bit_is_named_wherever_it_is(
    whole: dict[str, bytes], ghosttrack: Callable[..., Ended]
) -> None:
    clean = ghosttrack("status", "--verify", "--json").document
    assert (clean["bad_chunks"], clean["damaged_files"]) == ([], [])
    for name, command in HOW.items():
        (path,) = DATA.glob(name)
        before = flip(path)
        found = ghosttrack("status", "--verify", "--json")
        assert found.code == 3, name
        (damaged,) = found.document["damaged_files"]
        assert path.name in damaged or str(path.parent) in damaged, (name, damaged)
        assert found.error == ("1 file damaged", command), name
        path.write_bytes(before)
    said = ghosttrack("status", "--verify")
    assert (said.code, said.out.splitlines()[-1]) == (
        0,
        "verified: no bad chunks, no damaged files",
    )


def spoil(path: Path, how: str) -> None:
    if how == "flipped":
        flip(path)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()


def test_interpret_makes_a_damaged_page_again(
    whole: dict[str, bytes], ghosttrack: Callable[..., Ended]
) -> None:
    """What a look can see `status` says by itself, and what it advises mends it."""
    pages = [name for name, command in HOW.items() if command == PAGE]
    for name, how in product(pages, ("flipped", "cut", "missing")):
        spoil(DATA / name, how)
        listed = not name.endswith("files.json")
        if how != "flipped" or not listed:
            seen = ghosttrack("status", "--json").document
            assert seen["next"] == PAGE, (name, how)
            assert bool(seen["problems"]) == (listed or how != "missing"), (name, how)
        assert ghosttrack("interpret").code == 0
        assert tree(DATA, without=VARYING) == whole, (name, how)
    assert ghosttrack("status", "--json").document["next"] is None


def test_a_page_list_that_names_a_file_outside_is_refused(
    whole: dict[str, bytes], ghosttrack: Callable[..., Ended]
) -> None:
    from ghosttrack_cli import files

    outside = Path("kept.json")
    outside.write_text("kept")
    facts = {"bytes": 1, "sha256": "0" * 64}
    document = {"schema": 1, "files": {"../../kept.json": facts}}
    files.write_sealed(DATA / "interpretations" / "browser" / "files.json", document)
    assert "not a list of files" in ghosttrack("status", "--verify").out
    assert ghosttrack("interpret").code == 0
    assert outside.read_text() == "kept"
    assert tree(DATA, without=VARYING) == whole
