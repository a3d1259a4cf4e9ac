"""Training anew: the SAE of before stands until the new one is whole, whatever stops it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from tests.store import kills
from tests.store.kills import Failpoints
from tests.training.conftest import planted_rows, write_store
from tests.training.outcomes import LAYER, StopAfter, assert_sound, elsewhere, tree

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorpusError, Stopped, TrainingError, UsageError
from ghosttrack_cli.status.layer_status import Retraining, read_training
from ghosttrack_cli.training.plan.plan import plan_training
from ghosttrack_cli.training.records import retraining
from ghosttrack_cli.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.training.conftest import Bench

    from ghosttrack_cli.training.plan.plan import TrainingPlan
    from ghosttrack_cli.workspace import Workspace

SHORT: dict[str, Any] = {"epochs": 1, "evaluations": 2}


@pytest.fixture
def trained(bench: Bench) -> Bench:
    """A bench with a short training that is finished."""
    bench.trainer(**SHORT).run()
    bench.notices.clear()
    return bench


class KilledError(BaseException):
    """The process ends here."""


def killed() -> None:
    raise KilledError


def visible(workspace: Workspace) -> dict[str, bytes]:
    """What `status`, `interpret` and `export` read of a layer, every byte of it."""
    folders = [files.present_folder(workspace.sae(LAYER, kind)) for kind in retraining.KINDS]
    found = [path for folder in folders for path in folder.iterdir()]
    found += [workspace.history(LAYER), workspace.training_progress(LAYER)]
    kinds = [f"{path.parent.name}/{path.name}".replace(".previous", "") for path in found[:-2]]
    return dict(
        zip([*kinds, "history", "progress"], (path.read_bytes() for path in found), strict=True)
    )


def plan_of(bench: Bench, seed: int) -> TrainingPlan:
    settings = bench.training.model_copy(update={**SHORT, "seed": seed})
    return plan_training(bench.store(), LAYER, bench.sae, settings, bench.workspace)


def outside(workspace: Workspace) -> dict[str, bytes]:
    """All files but those of a begun retraining."""
    return {name: data for name, data in tree(workspace).items() if "_new/" not in name}


def test_a_store_with_too_little_text_loses_nothing(trained: Bench) -> None:
    before = tree(trained.workspace)
    shutil.rmtree(trained.workspace.store)
    write_store(trained.workspace.store, planted_rows(2)[0])
    with pytest.raises(CorpusError, match="no rows to"):
        trained.trainer(overwrite=True, seed=7, **SHORT).run()
    assert tree(trained.workspace) == before


@pytest.mark.parametrize(
    "wrong", [{"sae": {"d_model": 768}}, {"sae": {"target_l0": 500.0}}, {"device": "cuda:9"}]
)
def test_settings_that_are_refused_lose_nothing(trained: Bench, wrong: dict[str, Any]) -> None:
    before = tree(trained.workspace)
    with pytest.raises(UsageError):
        trained.trainer(overwrite=True, **{**SHORT, **wrong}).run()
    assert tree(trained.workspace) == before


def test_a_loss_that_is_not_finite_loses_nothing(trained: Bench) -> None:
    before = tree(trained.workspace)
    with pytest.raises(TrainingError, match="not finite or jumped"):
        trained.trainer(overwrite=True, learning_rate=1e30, **SHORT).run()
    assert outside(trained.workspace) == before

    assert trained.trainer(**SHORT).run().outcome == "already finished"
    assert any("it is left untouched" in notice for notice in trained.notices)
    status = read_training(trained.workspace, LAYER, [])
    assert status is not None
    assert status.finished
    assert status.retraining is not None
    assert (status.retraining.state, status.retraining.total_steps) == ("failed", 21)


def test_the_hint_for_a_loss_that_is_not_finite_helps(trained: Bench) -> None:
    with pytest.raises(TrainingError) as caught:
        trained.trainer(overwrite=True, learning_rate=1e30, **SHORT).run()
    words = str(caught.value.hint).split()
    assert words[:4] == ["ghosttrack", "train", "--layers", str(LAYER)]
    rate = float(words[words.index("--learning-rate") + 1])
    result = trained.trainer(overwrite="--overwrite" in words, learning_rate=rate, **SHORT).run()
    assert result.outcome == "trained"
    assert not trained.workspace.retraining(LAYER).checkpoints.exists()


def test_of_several_layers_the_second_that_fails_keeps_its_sae(
    workspace: Workspace, bench: Bench
) -> None:
    shutil.rmtree(workspace.store)
    write_store(workspace.store, planted_rows(3_000)[0], layers=(3, 4))
    settings = bench.training.model_copy(update=SHORT)

    def train(rates: dict[int, float | None], *, overwrite: bool) -> None:
        for layer, rate in rates.items():
            asked = settings.model_copy(update={"learning_rate": rate})
            Trainer(bench.store(), layer, bench.sae, asked, workspace, overwrite=overwrite).run()

    train({3: None, 4: None}, overwrite=False)
    before = tree(workspace)
    with pytest.raises(TrainingError, match="layer 4"):
        train({3: 0.004, 4: 1e30}, overwrite=True)
    after = outside(workspace)
    assert {name for name in before if before[name] != after[name]} == {
        name for name in before if "layer_3_" in name
    }
    assert after.keys() == before.keys()


def test_a_stopped_one_goes_on_without_overwrite_and_replaces_all_in_the_end(
    trained: Bench,
) -> None:
    straight = elsewhere(trained, "straight")
    anew: dict[str, Any] = {"seed": 7, **SHORT}
    trained.trainer(workspace=straight, **anew).run()
    before = tree(trained.workspace)
    with pytest.raises(Stopped):
        trained.trainer(overwrite=True, stop=StopAfter(9), **anew).run()
    assert outside(trained.workspace) == before
    status = read_training(trained.workspace, LAYER, [])
    assert status is not None
    assert status.retraining == Retraining("stopped", 9, 21)

    plans = {seed: plan_of(trained, seed) for seed in (0, 7)}
    assert {seed: (plan.state, plan.finished_steps) for seed, plan in plans.items()} == {
        0: ("finished", 21),
        7: ("stopped", 9),
    }
    trained.notices.clear()
    assert trained.trainer(**anew).run().outcome == "trained"
    assert any(
        "resuming the retraining that --overwrite started" in notice for notice in trained.notices
    )
    assert any("resuming at step 9 of 21" in notice for notice in trained.notices)
    found, expected = tree(trained.workspace), tree(straight)
    assert found.keys() - expected.keys() == {
        name.replace("021", "009") for name in expected if "step-000000021" in name
    }
    assert {name: found[name] for name in expected} == expected
    assert trained.trainer(**anew).run().outcome == "already finished"


def test_overwrite_given_again_starts_anew(trained: Bench) -> None:
    with pytest.raises(Stopped):
        trained.trainer(overwrite=True, stop=StopAfter(9), seed=7, **SHORT).run()
    trained.notices.clear()
    trained.trainer(overwrite=True, seed=8, **SHORT).run()
    assert not any("continued" in notice for notice in trained.notices)
    progress = files.read_sealed(trained.workspace.training_progress(LAYER))
    assert progress["settings"]["sae_training.seed"] == 8
    assert not trained.workspace.retraining(LAYER).checkpoints.exists()


@pytest.mark.usefixtures("no_fsync")
def test_a_kill_while_it_takes_its_place_leaves_the_old_or_the_new_whole(
    trained: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = trained.workspace
    old = visible(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(retraining, "hand_over", lambda *_: killed())
        with pytest.raises(KilledError):
            trained.trainer(overwrite=True, seed=7, **SHORT).run()
    assert visible(workspace) == old
    aside = shutil.copytree(workspace.checkpoints, workspace.root / "aside")
    calls = Failpoints(0, kills.never)
    kills.install(calls)
    retraining.hand_over(workspace, LAYER)
    new, whole = visible(workspace), tree(workspace)
    assert not any("_new" in name or "_ready" in name for name in whole)
    seen = {}
    for at in range(1, len(calls.calls) + 1):
        shutil.rmtree(workspace.checkpoints)
        shutil.copytree(aside, workspace.checkpoints)
        seen[at] = old_or_new(workspace, at, old, new)
        go_on(workspace)
        assert tree(workspace) == whole, at
    assert {seen[1], seen[len(seen)]} == {"old", "new"}


def old_or_new(workspace: Workspace, at: int, old: Any, new: Any) -> str:
    """Which training is there after a kill at call number `at`: never a part of each."""
    kills.install(Failpoints(at, killed))
    with pytest.raises(KilledError):
        retraining.hand_over(workspace, LAYER)
    kills.install(Failpoints(0, kills.never))
    assert_sound(workspace)
    found = visible(workspace)
    assert found in (old, new), at
    return "old" if found == old else "new"


def go_on(workspace: Workspace) -> None:
    """What the next training does first."""
    take: Callable[[Workspace, int], None] = (
        retraining.hand_over if retraining.begun(workspace, LAYER) else retraining.settle
    )
    take(workspace, LAYER)
