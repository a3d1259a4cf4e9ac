"""However a training is stopped, what comes out is what an unstopped one gives, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tests.training.outcomes import LAYER, STEPS, StopAfter, elsewhere, ending, tree

from ghosttrack_cli import files
from ghosttrack_cli.errors import ConflictError, CorruptionError, Stopped
from ghosttrack_cli.training.records.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from tests.training.conftest import Bench


def test_ten_and_ten_steps_are_twenty(bench: Bench) -> None:
    straight, stopped = elsewhere(bench, "straight"), elsewhere(bench, "stopped")
    bench.trainer(workspace=straight).run()
    for steps in (10, 1, 13):
        with pytest.raises(Stopped) as caught:
            bench.trainer(workspace=stopped, stop=StopAfter(steps)).run()
        assert caught.value.exit_code == 130
    bench.trainer(workspace=stopped).run()
    assert ending(straight) == ending(stopped)
    assert any("resuming at step 24" in notice for notice in bench.notices)


def test_checkpoints_do_not_change_what_comes_out(bench: Bench) -> None:
    few, many = elsewhere(bench, "few"), elsewhere(bench, "many")
    bench.trainer(workspace=few).run()
    bench.trainer(workspace=many, checkpoint_steps=1).run()
    assert ending(few) == ending(many)
    assert len(list(many.sae(LAYER, "last").glob("*.safetensors"))) == 2


def test_a_finished_training_does_nothing(bench: Bench) -> None:
    bench.trainer().run()
    before = tree(bench.workspace)
    result = bench.trainer().run()
    assert result.outcome == "already finished"
    assert result.steps == STEPS
    assert tree(bench.workspace) == before
    assert "layer 3: already trained, nothing to do" in bench.notices


def test_changed_settings_are_refused_by_name(bench: Bench) -> None:
    with pytest.raises(Stopped):
        bench.trainer(stop=StopAfter(5)).run()
    with pytest.raises(ConflictError) as caught:
        bench.trainer(learning_rate=0.5, sae={"bandwidth": 0.02}).run()
    assert set(caught.value.fields) == {"sae_training.learning_rate", "sae.bandwidth"}
    bench.trainer(learning_rate=0.001, overwrite=True).run()
    with pytest.raises(ConflictError):
        bench.trainer(learning_rate=0.5).run()


def test_free_settings_may_change(bench: Bench) -> None:
    with pytest.raises(Stopped):
        bench.trainer(stop=StopAfter(5)).run()
    result = bench.trainer(checkpoint_steps=7, target_recon_loss=0.5).run()
    assert (result.outcome, result.steps) == ("trained", STEPS)
    assert any("resuming at step 5" in notice for notice in bench.notices)
    straight = elsewhere(bench, "straight")
    bench.trainer(workspace=straight).run()
    weights = f"sae_layer_{LAYER}_final/sae_weights.safetensors"
    assert tree(bench.workspace)[weights] == tree(straight)[weights]


def test_other_threads_are_said_to_be_not_bitwise(bench: Bench) -> None:
    with pytest.raises(Stopped):
        bench.trainer(stop=StopAfter(5)).run()
    torch.set_num_threads(2)
    try:
        bench.trainer().run()
    finally:
        torch.set_num_threads(1)
    assert any("not bit for bit: threads 1 -> 2" in notice for notice in bench.notices)


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "delete", "record"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(bench: Bench, damage: str) -> None:
    straight = elsewhere(bench, "straight")
    bench.trainer(workspace=straight).run()
    with pytest.raises(Stopped):
        bench.trainer(stop=StopAfter(20), checkpoint_steps=15).run()
    folder = bench.workspace.sae(LAYER, "last")
    newest = folder / "step-000000020.safetensors"
    data = bytearray(newest.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        newest.write_bytes(data)
    if damage == "truncate":
        newest.write_bytes(data[: len(data) // 2])
    if damage == "empty":
        newest.write_bytes(b"")
    if damage == "delete":
        newest.unlink()
    if damage == "record":
        record = folder / "step-000000020.json"
        record.write_text(record.read_text().replace('"step": 20', '"step": 21'))
    bench.trainer().run()
    assert any("skipped a damaged checkpoint" in notice for notice in bench.notices)
    assert any("resuming at step 15" in notice for notice in bench.notices)
    assert ending(straight) == ending(bench.workspace)


def test_without_any_valid_checkpoint_training_refuses(bench: Bench) -> None:
    with pytest.raises(Stopped):
        bench.trainer(stop=StopAfter(5)).run()
    for path in bench.workspace.sae(LAYER, "last").glob("*.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(CorruptionError, match="no valid checkpoint") as caught:
        bench.trainer().run()
    assert "--overwrite" in str(caught.value.hint)
    bench.trainer(overwrite=True).run()


def test_a_checkpoint_larger_than_its_shapes_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    files.make_folder(folder)
    (folder / "step-000000001.json").write_text("[1]")
    with pytest.raises(CorruptionError):
        load_checkpoint(folder, print, limit=1000)
    assert load_checkpoint(tmp_path / "none", print, limit=1000) is None
