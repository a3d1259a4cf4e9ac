"""Reports of versions that wrote them directly into a layer's folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.interpretation.conftest import write_texts
from tests.support.files import tree

from ghosttrack_cli import files
from ghosttrack_cli.interpretation.old_layout import move_old_reports
from ghosttrack_cli.monitor import Monitor
from ghosttrack_cli.report.stored import PAGE_LIST, layer_reports, old_layouts
from ghosttrack_cli.status.gather import gather

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ghosttrack_cli.workspace import Workspace


@pytest.fixture
def report(
    interpret: Callable[..., list[Any]],
    planted_workspace: Workspace,
    documents: list[str],
    tmp_path: Path,
) -> Path:
    """The folder of a report over some texts."""
    (summary,) = interpret(write_texts(tmp_path / "notes.jsonl", documents[:3]))
    return planted_workspace.report(0, summary.source.slug)


def move_up(folder: Path) -> None:
    """As this version writes it, only in the old place."""
    for path in folder.iterdir():
        path.rename(folder.parent / path.name)
    folder.rmdir()


def as_it_was(folder: Path, slug: str) -> None:
    """As it was written before reports had sources: no checksums, fewer keys, no search files."""
    move_up(folder / slug)
    for path in (*(folder / "search").iterdir(), *folder.glob("*.js")):
        path.unlink()
    (folder / "search").rmdir()
    for path in (*folder.glob("*.json"), *(folder / "features").iterdir()):
        document = {"schema": 2} | files.read_sealed(path)
        document["schema"] = 1 if path.name == "summary.json" else 2
        for name in ("files", "records", "settings"):
            document.pop(name, None)
        for holder in (document.get("index", {}), *document.get("features", [])):
            holder.pop("telling", None)
        for name in ("slug", "corpus", "short", "blank", "replaced"):
            document.get("source", {}).pop(name, None)
        path.write_text(json.dumps(document))


def test_it_moves_to_its_source_and_the_page_shows_it(
    report: Path, planted_workspace: Workspace
) -> None:
    before = tree(report)
    time = (report / "summary.json").stat().st_mtime_ns
    move_up(report)
    planted_workspace.browser.unlink()
    (planted_workspace.interpretations / PAGE_LIST).unlink()
    assert layer_reports(planted_workspace.interpretations, 0) == []
    (problem,) = gather(planted_workspace).problems
    assert str(report.parent) in problem
    said: list[str] = []
    move_old_reports(planted_workspace, said.append)
    assert said == [f"moved the report of an earlier version in {report.parent} to {report}"]
    assert tree(report) == before
    assert (report / "summary.json").stat().st_mtime_ns == time
    assert [path.name for path in report.parent.iterdir()] == [report.name]
    assert planted_workspace.browser.is_file()
    assert gather(planted_workspace).problems == ()
    move_old_reports(planted_workspace, said.append)
    assert len(said) == 1


def test_what_earlier_versions_did_not_write_is_made(
    report: Path, planted_workspace: Workspace
) -> None:
    before = tree(report)
    as_it_was(report.parent, report.name)
    move_old_reports(planted_workspace, lambda _: None)
    (moved,) = layer_reports(planted_workspace.interpretations, 0)
    assert moved.source.startswith("texts-notes-")
    after = tree(moved.folder)
    assert after["features/000.json"] == before["features/000.json"]
    tokens, known = after["search/tokens.js"], before["search/tokens.js"]
    assert tokens.partition(b", ")[2] == known.partition(b", ")[2]
    assert gather(planted_workspace).problems == ()


def test_a_newer_report_over_the_same_source_stays(
    report: Path, planted_workspace: Workspace, tmp_path: Path
) -> None:
    before = tree(report)
    for path in (report / "summary.json", report / "report.json"):
        (report.parent / path.name).write_bytes(path.read_bytes())
    move_old_reports(planted_workspace, lambda _: None)
    assert tree(report) == before
    assert old_layouts(planted_workspace.interpretations) == []


def test_one_that_cannot_be_read_stays_and_is_named(
    report: Path,
    planted_workspace: Workspace,
    interpret: Callable[..., list[Any]],
    tmp_path: Path,
    documents: list[str],
) -> None:
    move_up(report)
    shard = report.parent / "features" / "001.json"
    shard.write_bytes(shard.read_bytes()[:-20])
    said: list[str] = []
    interpret(write_texts(tmp_path / "other.jsonl", documents[3:5]), Monitor(notice=said.append))
    (sentence,) = [one for one in said if "earlier version" in one]
    assert str(shard) in sentence
    assert "stays" in sentence
    assert shard.is_file()
    assert not report.exists()
