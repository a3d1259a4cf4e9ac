"""A finished training whose small files are damaged: named, and made again as they were."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.training.outcomes import LAYER, STEPS, tree

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.status.gather import gather
from ghosttrack_cli.tensorfiles import read_tensors, write_tensors
from ghosttrack_cli.training.plan.plan import plan_training
from ghosttrack_cli.training.records.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from tests.training.conftest import Bench


def flip(path: Path) -> None:
    """Another digit after the first decimal point, as a flipped bit makes it."""
    text = path.read_text()
    place = text.index(".") + 1
    other = "9" if text[place] != "9" else "1"
    path.write_text(text[:place] + other + text[place + 1 :])
    json.loads(path.read_bytes())


@pytest.mark.parametrize("name", ["history", "training_progress"])
def test_a_flipped_digit_is_noticed_and_made_again(bench: Bench, name: str) -> None:
    result = bench.trainer().run()
    before = tree(bench.workspace)
    path: Path = getattr(bench.workspace, name)(LAYER)
    flip(path)
    overview = gather(bench.workspace)
    assert f"damaged: {path}: checksum does not match" in overview.problems
    again = bench.trainer().run()
    assert f"damaged: {path}: checksum does not match; rebuilt from the last checkpoint" in (
        bench.notices
    )
    assert (again.steps, again.history) == (result.steps, result.history)
    assert tree(bench.workspace) == before
    assert not gather(bench.workspace).problems
    assert bench.trainer().run().outcome == "already finished"


@pytest.mark.parametrize("name", ["history", "training_progress"])
def test_without_a_checkpoint_a_finished_sae_is_not_trained_over(bench: Bench, name: str) -> None:
    bench.trainer().run()
    flip(getattr(bench.workspace, name)(LAYER))
    for path in bench.workspace.sae(LAYER, "last").iterdir():
        path.unlink()
    final = bench.workspace.sae(LAYER, "final") / "sae_weights.safetensors"
    before = final.read_bytes()
    with pytest.raises(CorruptionError, match="checksum does not match") as caught:
        bench.trainer().run()
    assert caught.value.hint == f"ghosttrack train --layers {LAYER} --overwrite retrains it"
    assert final.read_bytes() == before


def test_a_plan_says_that_the_manifest_is_damaged(bench: Bench) -> None:
    bench.trainer().run()
    flip(bench.workspace.training_progress(LAYER))
    plan = plan_training(bench.store(), LAYER, bench.sae, bench.training, bench.workspace)
    assert plan.state == "manifest damaged"


HOSTILE: dict[str, Any] = {
    "step": [None, True, -1, 0, 2**70, 1.5, "3", []],
    "seconds": [None, -1, "x", 2**4000, []],
    "best": [[], {}, "x", {"step": -1, "fvu": 0.1, "l0": 2.0}, {"step": 1, "fvu": "x", "l0": 2.0}],
    "metrics": [None, [], {"fvu": "x"}, {"fvu": []}, {"rows": 2**4000}],
    "history": [None, [], {}, {"step": []}, {"step": ["x"]}, {"step": 7}],
    "settings": [None, [], "x", 3],
    "store": [None, [], {}, {"identity": 1, "rows": 2}, {"identity": "x", "rows": -1}],
    "environment": [None, [], "x"],
    "more": [1],
}


def test_a_sealed_record_with_values_that_no_training_writes_is_passed_over(bench: Bench) -> None:
    """The one before it is taken, and the end is that of a training that was left alone."""
    bench.trainer(checkpoint_steps=20).run()
    folder = bench.workspace.sae(LAYER, "last")
    newest = max(folder.glob("*.json"))
    whole = files.read_sealed(newest)
    limit = {"limit": 10**7}
    sound = load_checkpoint(folder, bench.notices.append, **limit)
    assert sound is not None
    assert sound.body["step"] == STEPS
    for name, values in HOSTILE.items():
        for value in values:
            files.write_sealed(newest, whole | {"body": {**whole["body"], name: value}})
            bench.notices.clear()
            found = load_checkpoint(folder, bench.notices.append, **limit)
            assert found is not None
            assert found.body["step"] < STEPS, (name, value)
            assert str(newest) in bench.notices[0], (name, value)
    without = {name: whole["body"][name] for name in whole["body"] if name != "best"}
    files.write_sealed(newest, whole | {"body": without})
    assert bench.trainer(checkpoint_steps=20).run().outcome == "already finished"
    bench.workspace.history(LAYER).unlink()
    assert bench.trainer(checkpoint_steps=20).run().steps == STEPS
    assert any("skipped a damaged checkpoint" in notice for notice in bench.notices)


@pytest.mark.parametrize("change", ["width", "dtype", "step", "missing"])
def test_tensors_that_no_training_of_this_width_writes_are_passed_over(
    bench: Bench, change: str
) -> None:
    bench.trainer(checkpoint_steps=20).run()
    folder = bench.workspace.sae(LAYER, "last")
    newest = max(folder.glob("*.json"))
    tensors = read_tensors(newest.with_suffix(".safetensors"))
    if change == "width":
        tensors["first.W_dec"] = tensors["first.W_dec"][:-1].contiguous()
    elif change == "dtype":
        tensors["quiet_rows"] = tensors["quiet_rows"].int()
    elif change == "step":
        tensors["step"] = tensors["step"] - 1
    else:
        del tensors["sums"]
    sha256 = write_tensors(newest.with_suffix(".safetensors"), tensors)
    files.write_sealed(newest, files.read_sealed(newest) | {"tensors_sha256": sha256})
    found = load_checkpoint(folder, bench.notices.append, limit=10**7)
    assert found is not None
    assert found.body["step"] < STEPS
    assert any(str(newest.with_suffix("")) in notice for notice in bench.notices)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("training_progress", {"store": None}),
        ("training_progress", {"settings": []}),
        ("training_progress", {"state": 3}),
        ("training_progress", {"metrics": None}),
        ("training_progress", {"step": "x"}),
        ("history", {"step": None}),
        ("history", {"fvu": ["x"]}),
        ("history", {"fvu": []}),
    ],
)
def test_a_sealed_manifest_with_values_of_another_kind_is_made_again(
    bench: Bench, name: str, change: dict[str, Any]
) -> None:
    bench.trainer().run()
    before = tree(bench.workspace)
    path: Path = getattr(bench.workspace, name)(LAYER)
    files.write_sealed(path, files.read_sealed(path) | change)
    assert bench.trainer().run().outcome == "trained"
    assert any("rebuilt from the last checkpoint" in notice for notice in bench.notices)
    assert tree(bench.workspace) == before
