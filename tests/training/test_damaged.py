"""A finished training whose small files are damaged: named, and made again as they were."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.training.outcomes import LAYER, tree

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.status.gather import gather
from ghosttrack_cli.training.plan.plan import plan_training

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
