"""Reports over several sources of rows: each stands beside the others, and is replaced whole."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.interpretation.conftest import CORPUS, write_texts
from tests.support.files import tree

from ghosttrack_cli.errors import Stopped
from ghosttrack_cli.interpretation.sources import text_source
from ghosttrack_cli.interpretation.sources.choose import source_slug
from ghosttrack_cli.monitor import Monitor
from ghosttrack_cli.report.report_files import read_summary
from ghosttrack_cli.report.stored import layer_reports
from ghosttrack_cli.settings.schema import InterpretationSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable


def slug_of(texts: Path, **limits: int) -> str:
    settings = InterpretationSettings.model_validate({"texts": str(texts)} | limits)
    request = StageRequest(ModelSettings(), CORPUS, settings, Workspace(Path()))
    return source_slug(request)


def test_another_source_adds_a_report_and_replaces_none(
    interpret: Callable[..., list[Any]],
    planted_workspace: Workspace,
    documents: list[str],
    tmp_path: Path,
) -> None:
    first = write_texts(tmp_path / "a" / "notes.jsonl", documents[:6])
    second = write_texts(tmp_path / "b" / "notes.jsonl", documents[6:9])
    (whole,) = interpret(first)
    folder = planted_workspace.report(0, whole.source.slug)
    before = tree(folder)
    (other,) = interpret(second)
    (part,) = interpret(first, max_texts=2)
    slugs = [whole.source.slug, other.source.slug, part.source.slug]
    assert slugs == [slug_of(first), slug_of(second), f"{slug_of(first)}-2-texts"]
    assert len(set(slugs)) == 3
    assert all(slug.startswith("texts-notes-") for slug in slugs)
    assert tree(folder) == before
    assert [one.source.texts for one in (whole, other, part)] == [6, 3, 2]
    assert {one.source for one in layer_reports(planted_workspace.interpretations, 0)} == set(slugs)
    for summary in (whole, other, part):
        assert read_summary(planted_workspace, 0, summary.source.slug) == summary
        seed = json.loads(planted_workspace.interpretation(0, summary.source.slug).read_text())
        firings = sum(record["num_activations"] for record in seed)
        assert 0 < firings <= summary.counts.rows
    newest = planted_workspace.interpretation(0)
    assert newest.read_bytes() == planted_workspace.interpretation(0, slugs[2]).read_bytes()


def test_texts_that_changed_are_another_source(tmp_path: Path, documents: list[str]) -> None:
    path = write_texts(tmp_path / "notes.jsonl", documents[:3])
    before = slug_of(path)
    write_texts(path, documents[3:6])
    assert slug_of(path) != before
    moved = path.rename(tmp_path / "moved")
    (tmp_path / "sub").mkdir()
    assert slug_of(moved.rename(tmp_path / "sub" / "notes.jsonl")) == slug_of(
        write_texts(path, documents[3:6])
    )


def test_the_unfinished_pass_of_one_source_survives_that_of_another(
    interpret: Callable[..., list[Any]],
    documents: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text_source, "BATCH_ROWS", 100)
    first = write_texts(tmp_path / "first.jsonl", documents[:8])
    second = write_texts(tmp_path / "second.jsonl", documents[8:])
    seen: list[Any] = []
    stopping = Monitor(progress=seen.append, stop_signal=lambda: 2 if seen else None)
    with pytest.raises(Stopped):
        interpret(first, stopping)
    assert len(interpret(second)) == 1
    said: list[str] = []
    (summary,) = interpret(first, Monitor(notice=said.append))
    assert [text for text in said if text.startswith("resuming after")]
    assert summary.source.texts == 8


def test_the_old_report_stands_while_it_is_made_again(
    interpret: Callable[..., list[Any]],
    planted_workspace: Workspace,
    documents: list[str],
    tmp_path: Path,
) -> None:
    texts = write_texts(tmp_path / "notes.jsonl", documents[:6])
    (old,) = interpret(texts)
    looks: list[Any] = []

    def look(_: object) -> None:
        looks.append(read_summary(planted_workspace, 0, old.source.slug))

    assert interpret(texts, Monitor(progress=look), again=True) == [old]
    assert looks
    assert all(seen == old for seen in looks)


def test_a_report_is_found_between_the_renames_that_replace_it(
    interpret: Callable[..., list[Any]],
    planted_workspace: Workspace,
    documents: list[str],
    tmp_path: Path,
) -> None:
    (old,) = interpret(write_texts(tmp_path / "notes.jsonl", documents[:3]))
    folder = planted_workspace.report(0, old.source.slug)
    folder.rename(folder.with_name(folder.name + ".previous"))
    (found,) = layer_reports(planted_workspace.interpretations, 0)
    assert found.source == old.source.slug
    assert (found.folder / "report.json").is_file()
    assert read_summary(planted_workspace, 0, old.source.slug) == old


def test_the_newest_report_of_a_layer_comes_first(workspace: Workspace) -> None:
    for age, source in enumerate(["store", "truthfulqa", "texts-notes-01234567"]):
        summary = workspace.report(6, source) / "summary.json"
        summary.parent.mkdir(parents=True)
        summary.write_text("{}")
        os.utime(summary, (1000 - age, 1000 - age))
    (workspace.report(6, "store").parent / "store.tmp").mkdir()
    found = layer_reports(workspace.interpretations, 6)
    assert [one.source for one in found] == ["store", "truthfulqa", "texts-notes-01234567"]
    shutil.rmtree(workspace.report(6, "store"))
    assert layer_reports(workspace.interpretations, 6)[0].source == "truthfulqa"
