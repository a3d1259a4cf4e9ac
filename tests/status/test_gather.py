"""What `status` finds in workspaces that are empty, half finished, whole or damaged."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghosttrack_cli.files import exclusive_lock
from ghosttrack_cli.status.gather import Overview, gather
from ghosttrack_cli.status.next_step import next_step
from ghosttrack_cli.store.format.commit_record import read_commit, write_commit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.status.conftest import Builder

    from ghosttrack_cli.workspace import Workspace


def verdicts(overview: Overview) -> dict[str, bool | None]:
    return {check.name: check.met for check in overview.checks}


def command(overview: Overview, workspace: Workspace) -> str | None:
    return next_step(overview, workspace.log).command


def test_a_workspace_that_is_not_there(workspace: Workspace) -> None:
    overview = gather(workspace)
    assert (overview.store, overview.layers, overview.problems) == (None, (), ())
    assert not overview.met
    assert command(overview, workspace) == "extract --layer 6 --tokens 1M"


def test_a_store_alone(workspace: Workspace, build: Builder) -> None:
    build.store(0, 6)
    overview = gather(workspace)
    assert overview.store is not None
    assert overview.store.model == "gpt2"
    assert overview.store.corpus == "wikimedia/wikipedia 20231101.en"
    assert [(one.layer, one.rows, one.asked_rows) for one in overview.layers] == [
        (0, 1000, 1000),
        (6, 1000, 1000),
    ]
    assert overview.layers[0].bytes == 1_536_000
    assert overview.layers[0].stored
    assert command(overview, workspace) == "train"


def test_a_store_of_a_corpus_that_ended_early_is_not_to_be_continued(
    workspace: Workspace, build: Builder
) -> None:
    build.store(6, rows=400)
    commit = read_commit(workspace.store)
    write_commit(workspace.store, replace(commit, text={"documents": 3}))
    overview = gather(workspace)
    assert overview.store is not None
    assert (overview.store.complete, overview.store.corpus_ended) == (False, True)
    assert command(overview, workspace) == "train"


def test_a_store_that_is_not_full_is_continued_by_the_same_command(
    workspace: Workspace, build: Builder
) -> None:
    build.store(6, rows=400)
    overview = gather(workspace)
    assert not overview.layers[0].stored
    assert command(overview, workspace) == "extract"
    build.write(
        workspace.log,
        "2026-01-01T00:00:00+00:00 extract process 7: started: ghosttrack extract --layers 0\n"
        "2026-01-02T00:00:00+00:00 extract process 8: started: ghosttrack extract --layer 6\n"
        "2026-01-02T00:00:05+00:00 extract process 8: ended with 130 after 5.0 s\n"
        "2026-01-02T00:00:06+00:00 train process 9: started: ghosttrack train\n",
    )
    assert command(overview, workspace) == "extract --layer 6"


def test_half_trained(workspace: Workspace, build: Builder) -> None:
    build.store(0, 6)
    build.training(0)
    build.training(6, state="stopped")
    overview = gather(workspace)
    training = overview.layers[1].training
    assert training is not None
    assert (training.step, training.total_steps, training.finished) == (40, 100, False)
    assert verdicts(overview)["SAEs trained"] is False
    assert command(overview, workspace) == "train --layers 6"


def test_trained_and_not_interpreted(workspace: Workspace, build: Builder) -> None:
    build.store(0, 6)
    build.training(0)
    build.training(6)
    assert command(gather(workspace), workspace) == "interpret"
    build.report(0)
    assert command(gather(workspace), workspace) == "interpret --layers 6"


def test_everything_done_and_good(workspace: Workspace, build: Builder) -> None:
    build.everything(0, 6)
    overview = gather(workspace)
    assert set(verdicts(overview).values()) == {True}
    assert overview.met
    assert command(overview, workspace) is None


@pytest.mark.parametrize(
    ("metrics", "missed"),
    [
        ({"fvu": 0.131}, "FVU"),
        ({"l0": 49.9}, "active features per token"),
        ({"l0": 100.1}, "active features per token"),
        ({"dead_fraction": 0.21}, "active features"),
        ({"converged": False}, "training converged"),
    ],
)
def test_each_target_of_the_checklist(
    workspace: Workspace, build: Builder, metrics: dict[str, Any], missed: str
) -> None:
    build.everything(0, 6)
    build.training(6, **metrics)
    overview = gather(workspace)
    assert [name for name, met in verdicts(overview).items() if not met] == [missed]
    (check,) = (check for check in overview.checks if check.name == missed)
    assert check.value.endswith("layer 6")
    assert not overview.met


@pytest.mark.parametrize("metrics", [{"l0": 50.0}, {"l0": 100.0}, {"dead_fraction": 0.2}])
def test_the_edges_of_the_targets_hold(
    workspace: Workspace, build: Builder, metrics: dict[str, Any]
) -> None:
    build.everything(6)
    build.training(6, **metrics)
    assert gather(workspace).met


def test_the_targets_are_those_of_the_settings(workspace: Workspace, build: Builder) -> None:
    build.everything(6)
    overview = gather(workspace, recon_loss=0.001)
    assert [name for name, met in verdicts(overview).items() if not met] == ["reconstruction loss"]
    assert "FVU" not in verdicts(overview)
    assert not overview.met


def test_each_layer_is_judged_by_what_its_own_training_aimed_at(
    workspace: Workspace, build: Builder
) -> None:
    build.everything(0, 6)
    sparse = {"l0_min": 16, "l0_max": 32, "fvu": 0.2, "d_hidden": 1024, "target_l0": 24}
    build.training(6, l0=24.0, fvu=0.19, expected=sparse)
    overview = gather(workspace)
    assert overview.met
    targets = {check.name: check.target for check in overview.checks}
    assert targets["active features per token"] == "each layer's own"
    build.training(6, l0=75.0, fvu=0.21, expected=sparse)
    assert {name for name, met in verdicts(gather(workspace)).items() if not met} == {
        "FVU",
        "active features per token",
    }


def test_the_original_target_is_shown_and_not_asked_for(
    workspace: Workspace, build: Builder
) -> None:
    build.everything(6)
    build.training(6, recon_loss=0.05)
    overview = gather(workspace)
    (check,) = (one for one in overview.checks if one.name == "reconstruction loss")
    assert check.target == "below 0.01, the original target"
    assert (check.met, check.required) == (False, False)
    assert overview.met


def test_damage_is_said_and_the_rest_is_shown(
    workspace: Workspace, build: Builder, damage: Callable[[Any], None]
) -> None:
    build.everything(0, 6)
    damage(workspace.training_progress(6))
    overview = gather(workspace)
    assert len(overview.problems) == 1
    assert str(workspace.training_progress(6)) in overview.problems[0]
    assert overview.layers[0].training is not None
    assert not overview.met
    damage(workspace.store / "commit.json")
    overview = gather(workspace)
    assert len(overview.problems) == 2
    assert overview.store is None


def test_a_store_whose_commit_is_gone(workspace: Workspace, build: Builder) -> None:
    build.everything(6)
    (workspace.store / "zarr.json").touch()
    (workspace.store / "commit.json").unlink()
    overview = gather(workspace)
    assert overview.problems == (f"a store without a commit: {workspace.store}",)


@pytest.mark.parametrize("begun", ["", "commit.json.partial"])
def test_an_extraction_that_begins_is_no_problem(workspace: Workspace, begun: str) -> None:
    """The folder is there an instant before its first commit, or longer, after a kill."""
    workspace.store.mkdir(parents=True)
    if begun:
        (workspace.store / begun).touch()
    assert gather(workspace).problems == ()


JSON_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON_KEYS = st.text(max_size=5) | st.sampled_from(["metrics", "state"])


def json_around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """`inner`, or a list or an object of it."""
    return inner | st.lists(inner, max_size=3) | st.dictionaries(JSON_KEYS, inner, max_size=3)


JSON_VALUES = json_around(json_around(JSON_LEAVES))
FIELDS = (
    "schema",
    "state",
    "step",
    "total_steps",
    "metrics",
    "counts",
    "source",
    "files",
    "records",
)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_manifests_may_hold_anything(
    workspace: Workspace, build: Builder, document: dict[str, Any]
) -> None:
    build.store(6)
    try:
        build.seal(workspace.training_progress(6), {"schema": 2} | document)
    except ValueError:  # NaN is never written
        build.write(workspace.training_progress(6), {"schema": 2} | document)
    with suppress(ValueError):
        build.seal(workspace.report(6, "store") / "summary.json", {"schema": 3} | document)
    overview = gather(workspace)
    assert overview.layers[0].layer == 6
    next_step(overview, workspace.log)


def test_names_that_are_no_layers_are_left_alone(workspace: Workspace, build: Builder) -> None:
    build.everything(6)
    for name in ("layer_x", "layer_", "layer_99999999999", "other"):
        (workspace.interpretations / name).mkdir()
    assert [one.layer for one in gather(workspace).layers] == [6]


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux lists locks")
def test_who_is_at_work(workspace: Workspace, build: Builder) -> None:
    build.everything(6)
    lock = workspace.lock("train_layer_6")
    with exclusive_lock(lock, purpose="training layer 6"):
        (words,) = gather(workspace).running
    assert words.endswith(", training layer 6")
    assert gather(workspace).running == ()
    with exclusive_lock(lock, purpose="again"):
        pass


def test_the_course_of_a_training_comes_from_its_history(
    workspace: Workspace, build: Builder, damage: Callable[[Any], None]
) -> None:
    build.everything(6)
    columns = {"val_loss": [3, 2.5, None], "sparsity": [900, 80.0], "fvu": "no list"}
    build.seal(workspace.history(6), columns | {"val_rows": [512, 512]})
    training = gather(workspace).layers[0].training
    assert training is not None
    assert training.curves == {"loss": (3, 2.5), "L0": (900, 80.0), "FVU": (), "dead": ()}
    assert list(training.curve_rows) == [512, 512]
    damage(workspace.history(6))
    overview = gather(workspace)
    assert str(workspace.history(6)) in overview.problems[0]
    assert overview.layers[0].training is not None
    assert overview.layers[0].training.fvu is not None


def test_a_report_of_an_sae_that_was_replaced_is_not_one_of_the_present(
    workspace: Workspace, build: Builder
) -> None:
    build.everything(0, 6)
    for layer in (0, 6):
        build.sae(layer, "a")
    assert gather(workspace).met
    build.sae(6, "b")
    overview = gather(workspace)
    assert [one.interpreted for one in overview.layers] == [True, False]
    found = {check.name: check for check in overview.checks}["interpretations saved"]
    assert (found.met, found.value) == (False, "1 of 2, of an earlier SAE in layer 6")
    assert command(overview, workspace) == "interpret --layers 6"
    build.report(6, "texts-notes-1f2e3d4c", weights="b")
    assert gather(workspace).met


@pytest.mark.parametrize("name", ["report.json", "features/000.json", "../../records"])
@pytest.mark.parametrize("how", ["shorter", "missing"])
def test_a_damaged_file_of_a_report_is_named_and_interpret_comes_next(
    workspace: Workspace, build: Builder, name: str, how: str
) -> None:
    build.everything(6)
    records = workspace.interpretation(6)
    path = records if name == "../../records" else workspace.report(6, "store") / name
    path.unlink() if how == "missing" else path.write_bytes(path.read_bytes()[:-1])
    overview = gather(workspace)
    (problem,) = overview.problems
    assert problem.startswith("missing from a report: " if how == "missing" else "damaged: ")
    assert str(path) in problem
    assert overview.layers[0].interpretations[0].damaged
    step = next_step(overview, workspace.log)
    assert step.command == "interpret --layers 6 --texts store"
    assert step.why == "the report of layer 6 over store is damaged"
