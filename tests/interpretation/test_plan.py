"""What `interpret --dry-run` says beforehand is what a run then does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.interpretation import jobs
from ghosttrack_cli.interpretation import plan as plan_module
from ghosttrack_cli.interpretation.plan import plan_interpretation
from ghosttrack_cli.interpretation.stage import open_stage
from ghosttrack_cli.monitor import SILENT
from ghosttrack_cli.settings.schema import CorpusSettings, InterpretationSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.interpretation.stage import Stage
    from ghosttrack_cli.workspace import Workspace


@pytest.fixture
def stage_over(
    planted_workspace: Workspace, planted_model_folder: Path, tmp_path: Path, documents: list[str]
) -> Any:
    """A stage over the documents, as the command opens it."""

    def open_over(read: list[str] = documents, **changes: Any) -> Stage:
        path = tmp_path / "texts.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in read))
        request = StageRequest(
            ModelSettings(name=str(planted_model_folder), device="cpu"),
            CorpusSettings(min_characters=1),
            InterpretationSettings.model_validate({"texts": str(path), **changes}),
            planted_workspace,
        )
        return open_stage(request, SILENT)

    return open_over


def test_the_plan_counts_what_the_run_reads(stage_over: Any, planted_workspace: Workspace) -> None:
    stage = stage_over()
    plan = plan_interpretation(stage, (0, 1))
    assert not planted_workspace.interpretations.exists()
    assert (plan.layers, plan.todo, plan.passes) == ((0, 1), (0, 1), 1)
    assert set(plan.seconds) == {"rows", "weights", "loss", "report"}
    assert plan.total_seconds == sum(plan.seconds.values()) > 0
    summary = stage.run((0, 1))[0]
    assert plan.rows.known == "exactly"
    assert plan.rows.number == plan.probed_rows == summary.source.rows
    again = plan_interpretation(stage_over(), (0, 1))
    assert (again.todo, again.passes, again.total_seconds) == ((), 0, 0)


def test_the_second_reading_of_answers_is_planned(
    stage_over: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "TruthfulQA.csv"
    lines = [f"Misc,Is number {i} a prime number?,t t t,i i i i" for i in range(12)]
    path.write_text("\n".join(["Category,Question,Best Answer,Incorrect Answers", *lines]) + "\n")
    # Each piece of work that is timed takes a second.
    monkeypatch.setattr(plan_module, "timed", lambda run: (1.0, run()))
    plan = plan_interpretation(stage_over(texts=str(path)), (0, 1))
    # One batch: reading it a second, and each of two layers a second to take it in.
    assert plan.seconds["rows"] == pytest.approx(3)
    assert plan.seconds["answers"] == pytest.approx(3)
    assert "answers" not in plan_interpretation(stage_over(), (0, 1)).seconds


def test_memory_is_that_of_the_features_of_one_pass(
    stage_over: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = plan_interpretation(stage_over(), (0, 1))
    assert plan_interpretation(stage_over(), (0,)).state_bytes == pytest.approx(
        both.state_bytes / 2, rel=0.01
    )
    monkeypatch.setattr(jobs, "STATE_BYTES", 1)
    apart = plan_interpretation(stage_over(), (0, 1))
    assert (apart.passes, apart.state_bytes) == (2, both.state_bytes // 2)


def test_long_texts_are_counted_in_part(stage_over: Any, documents: list[str]) -> None:
    whole = stage_over().source.count_rows(10**9)
    assert whole.known == "exactly"
    some = stage_over().source.count_rows(100)
    assert some.known == "at least"
    assert 100 <= some.number < whole.number
    limited = stage_over(max_texts=len(documents)).source.count_rows(100)
    assert limited.known == "about"
    assert limited.number == pytest.approx(whole.number, rel=0.2)
    assert stage_over(max_tokens=200).source.count_rows(100).number == 200


def test_no_text_is_refused_before_anything_is_measured(stage_over: Any) -> None:
    with pytest.raises(CorpusError):
        plan_interpretation(stage_over([]), (0, 1))
