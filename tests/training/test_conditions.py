"""What a user is told before a training: missing rows, another device, few documents."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.training.conftest import LAYER, planted_rows, write_store

from ghosttrack_cli.errors import ConflictError
from ghosttrack_cli.machine import devices
from ghosttrack_cli.training.plan.conditions import held_out
from ghosttrack_cli.training.plan.plan import plan_training

if TYPE_CHECKING:
    from tests.training.conftest import Bench

    from ghosttrack_cli.training.plan.plan import TrainingPlan

SHORT: dict[str, Any] = {"epochs": 1, "evaluations": 1}


def fresh(bench: Bench, rows: int, asked: int | None = None) -> None:
    """The bench's store anew, with so many rows."""
    shutil.rmtree(bench.workspace.store)
    write_store(bench.workspace.store, planted_rows(rows)[0], asked=asked)


def plan_of(bench: Bench) -> TrainingPlan:
    return plan_training(bench.store(), LAYER, bench.sae, bench.training, bench.workspace)


def test_an_unfinished_store_is_said_and_once_it_has_grown_so_is_the_way_on(bench: Bench) -> None:
    fresh(bench, 2_000, asked=3_000)
    words = "the store has 2,000 of 3,000 requested rows"
    assert any(words in notice for notice in plan_of(bench).notices)
    bench.trainer(**SHORT).run()
    assert sum(words in notice for notice in bench.notices) == 1

    write_store(bench.workspace.store, planted_rows(3_000)[0])
    bench.notices.clear()
    with pytest.raises(ConflictError, match=r"2,000 rows of the store, which has \d,000") as caught:
        bench.trainer(**SHORT).run()
    assert not bench.notices
    assert f"ghosttrack train --layers {LAYER} --overwrite" in str(caught.value.hint)
    bench.trainer(overwrite=True, **SHORT).run()
    assert bench.trainer(**SHORT).run().outcome == "already finished"
    assert plan_of(bench).notices == ()


def test_a_device_that_the_cpu_stands_in_for_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan_of(bench).device == "cpu"
    monkeypatch.setattr(devices, "resolve_device", lambda _: torch.device("mps"))
    plan = plan_of(bench)
    assert plan.device == "cpu"
    assert any("training on the CPU: Apple's MPS" in notice for notice in plan.notices)
    bench.trainer(**SHORT).run()
    assert sum("training on the CPU" in notice for notice in bench.notices) == 1


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (6_000, None),
        (200, "holds out 1 of 5 documents:"),
        (80, "holds out 1 of 2 documents:"),
        (40, "holds out 1 of 2 blocks of windows of the only document:"),
        (20, "too little text to train on"),
    ],
)
def test_what_is_held_out_of_few_documents_is_known_before(
    bench: Bench, rows: int, words: str | None
) -> None:
    fresh(bench, rows)
    found = held_out(bench.store(), bench.training)
    assert (found is None) == (words is None)
    if found is not None and words is not None:
        assert words in found["words"]
        assert any(words in notice for notice in plan_of(bench).notices)


@pytest.mark.parametrize("seed", range(12))
def test_five_documents_train_with_any_seed_and_as_the_plan_says(bench: Bench, seed: int) -> None:
    fresh(bench, 200)
    training = bench.training.model_copy(update={"seed": seed})
    found = held_out(bench.store(), training)
    assert found is not None
    assert 1 <= found["held_out"] < found["parts"] == 5
    if seed < 2:
        bench.trainer(seed=seed, **SHORT).run()
        words = f"only {found['held_out']} of 5 documents are held out"
        assert any(words in notice for notice in bench.notices)
