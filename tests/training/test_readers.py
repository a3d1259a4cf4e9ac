"""What is read is not deleted meanwhile, and what stopped runs left is removed and said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.training.outcomes import LAYER, tree

from ghosttrack_cli import files
from ghosttrack_cli.errors import LockedError, StateError
from ghosttrack_cli.status.gather import gather
from ghosttrack_cli.store.replace import remove_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.training.conftest import Bench


def leave(path: Path) -> None:
    path.mkdir()
    (path / "chunk").write_bytes(bytes(1000))


def test_a_store_is_not_deleted_under_a_training(bench: Bench) -> None:
    commit = bench.workspace.store / "commit.json"
    before, refused = commit.read_bytes(), []

    def overwrite() -> None:
        with pytest.raises(LockedError, match=f"training layer {LAYER}") as caught:
            remove_store(bench.workspace.store)
        refused.append(caught.value)

    bench.trainer(stop=overwrite).run()
    assert refused
    assert commit.read_bytes() == before
    remove_store(bench.workspace.store)
    assert not bench.workspace.store.exists()


def test_a_store_that_was_replaced_is_not_trained_on_as_the_one_before(bench: Bench) -> None:
    trainer = bench.trainer()
    remove_store(bench.workspace.store)
    bench.plant(3_000)
    with pytest.raises(StateError, match="replaced"):
        trainer.run()


def test_a_store_may_grow_under_a_training(bench: Bench) -> None:
    trainer = bench.trainer()
    bench.plant(9_000)
    assert trainer.run().outcome == "trained"


def test_saes_are_not_replaced_under_those_who_read_them(bench: Bench) -> None:
    bench.trainer().run()
    before = tree(bench.workspace)
    with (
        files.shared_lock(bench.workspace.readers_lock(LAYER), purpose="ghosttrack interpret"),
        pytest.raises(LockedError, match="ghosttrack interpret"),
    ):
        bench.trainer(overwrite=True, sae={"target_l0": 5.0}).run()
    files_now = tree(bench.workspace)
    assert {name: files_now[name] for name in before} == before
    assert bench.trainer().run().outcome == "already finished"


def test_what_a_killed_run_left_is_counted_removed_and_said(bench: Bench) -> None:
    bench.trainer().run()
    before = tree(bench.workspace)
    left = [
        bench.workspace.checkpoints / f"sae_layer_{LAYER}_final{files.TEMPORARY_SUFFIX}",
        bench.workspace.checkpoints / f"sae_layer_{LAYER}_best{files.PREVIOUS_SUFFIX}",
    ]
    for path in left:
        leave(path)
    assert gather(bench.workspace).reclaimable_bytes == 2000
    bench.notices.clear()
    bench.trainer().run()
    said = [one for one in bench.notices if one.startswith("removed what a stopped run left")]
    assert sorted(one.rpartition(": ")[2] for one in said) == sorted(map(str, left))
    assert tree(bench.workspace) == before
    assert gather(bench.workspace).reclaimable_bytes == 0
