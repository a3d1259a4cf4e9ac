from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def test_the_baselines_are_those_of_counting(tool: ModuleType) -> None:
    train = torch.tensor([1, 2, 1, 2, 1, 3])
    found = tool.baselines(train, torch.tensor([1, 2]))
    p_2 = (2 + 1) / (6 + tool.VOCABULARY)
    assert found["unigram"] == pytest.approx(-math.log(p_2))
    assert found["bigram"] == pytest.approx(-math.log((2 + 2 * p_2) / (3 + 2)))


def test_a_window_is_opened_and_predicts_the_token_that_follows(tool: ModuleType) -> None:
    tokens = torch.arange(100, 900)
    inputs, targets = tool.windows(tokens, torch.tensor([0, 300]), begin=7)
    assert inputs[:, 0].tolist() == [7, 7]
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    assert targets[1, 0] == 400


def test_an_epoch_shows_every_window_once(tool: ModuleType) -> None:
    count = 10 * tool.CONTEXT
    starts = tool.shuffled_starts(count, 3, torch.Generator().manual_seed(0))
    epoch = torch.cat([next(starts) for _ in range(3)]).tolist()
    assert len(set(epoch)) == 9
    assert len({start % tool.CONTEXT for start in epoch}) == 1


def test_the_learning_rate_rises_and_falls(tool: ModuleType) -> None:
    recipe = tool.Recipe()
    rates = [tool.learning_rate(done, recipe) for done in (0, 0.01, recipe.warmup, 0.5, 1)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(recipe.lr)
    assert rates[2] > rates[3] > rates[4] == pytest.approx(recipe.final_lr)


def test_held_out_files_are_about_one_in_twenty(tool: ModuleType) -> None:
    share = sum(tool.is_validation(f"file{number}.py") for number in range(4000)) / 4000
    assert share == pytest.approx(0.05, abs=0.015)


def test_the_documented_figures_are_those_of_the_record(
    tool: ModuleType, demo_folder: Path, tmp_path: Path
) -> None:
    record = json.loads((demo_folder / "training.json").read_text(encoding="utf-8"))
    doc = tool.Path(tool.__file__).parents[1] / "docs" / "demo-model.md"
    copy = tmp_path / "doc.md"
    copy.write_text(doc.read_text(encoding="utf-8"), encoding="utf-8")
    tool.write_doc(record, copy)
    assert copy.read_text(encoding="utf-8") == doc.read_text(encoding="utf-8")
