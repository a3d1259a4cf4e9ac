"""Files of a current report that are damaged: found by who reads them, made anew by `interpret`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.interpretation.conftest import write_texts
from tests.support.files import tree

from ghosttrack_cli import files
from ghosttrack_cli.cli.actions.feature_files import open_search, read_feature, read_report
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.monitor import Monitor
from ghosttrack_cli.report.report_files import WholeReport
from ghosttrack_cli.report.search_index import search
from ghosttrack_cli.report.stored import StoredReport, layer_reports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ghosttrack_cli.workspace import Workspace

FILES = (
    "summary.json",
    "report.json",
    "features/000.json",
    "features/001.json",
    "search/tokens.js",
    "search/words-000.js",
    "records",
)


@pytest.fixture
def texts(tmp_path: Path, documents: list[str]) -> Path:
    return write_texts(tmp_path / "notes.jsonl", documents[:4])


def the_report(workspace: Workspace) -> StoredReport:
    (found,) = layer_reports(workspace.interpretations, 0)
    return found


def the_file(workspace: Workspace, name: str) -> Path:
    one = the_report(workspace)
    return workspace.interpretation(0, one.source) if name == "records" else one.folder / name


def flip(path: Path) -> None:
    """One bit in the middle: the size stays."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_file_is_made_anew_as_it_was(
    interpret: Callable[..., list[Any]], planted_workspace: Workspace, texts: Path
) -> None:
    (summary,) = interpret(texts)
    whole = tree(planted_workspace.interpretations)
    assert set(summary.files) == {*FILES} - {"summary.json", "records"}
    for name in ("missing", *FILES[:3], *FILES[-2:]):
        path = the_file(planted_workspace, "features/001.json" if name == "missing" else name)
        path.unlink() if name == "missing" else flip(path)
        said: list[str] = []
        assert interpret(texts, Monitor(notice=said.append)) == [summary]
        assert tree(planted_workspace.interpretations) == whole, name
        (sentence,) = [one for one in said if str(path) in one]
        assert sentence.startswith("missing from a report: " if name == "missing" else "damaged: ")
        assert sentence.endswith("; rebuilding the report of layer 0")


def test_a_whole_report_is_left_alone(
    interpret: Callable[..., list[Any]], planted_workspace: Workspace, texts: Path
) -> None:
    interpret(texts)
    times = {path: path.stat().st_mtime_ns for path in planted_workspace.interpretations.rglob("*")}
    said: list[str] = []
    interpret(texts, Monitor(notice=said.append))
    assert said == ["layer 0: already interpreted, nothing to do"]
    assert times == {path: path.stat().st_mtime_ns for path in times}


@pytest.mark.parametrize("name", FILES[:-1])
def test_who_reads_a_damaged_file_is_told_its_name_and_what_makes_it(
    interpret: Callable[..., list[Any]], planted_workspace: Workspace, texts: Path, name: str
) -> None:
    interpret(texts)
    one = the_report(planted_workspace)
    report = read_report(one)
    flip(one.folder / name)

    def read_all() -> None:
        read_report(one)
        read_feature(one, 0)
        read_feature(one, 256)
        list(search("nothing says this", open_search(one, report)))

    with pytest.raises(CorruptionError) as caught:
        read_all()
    assert caught.value.what == f"damaged: {one.folder / name}: checksum does not match"
    assert caught.value.hint == "ghosttrack interpret --layers 0"


def test_a_file_of_another_report_is_damage_though_its_own_seal_holds(
    interpret: Callable[..., list[Any]], planted_workspace: Workspace, texts: Path
) -> None:
    interpret(texts)
    one = the_report(planted_workspace)
    shard = one.folder / "features/000.json"
    text, _ = files.sealed_text(shard)
    shard.write_bytes(files.seal_text(text.decode().replace('"rows":', '"rows": '))[0])
    files.sealed_text(shard)
    with pytest.raises(CorruptionError, match=r"features/000\.json: [\d,]+ of [\d,]+ bytes"):
        read_feature(one, 0)


def test_a_reader_goes_on_with_the_report_that_took_the_place_of_its_own(
    interpret: Callable[..., list[Any]], planted_workspace: Workspace, texts: Path
) -> None:
    interpret(texts)
    opened = WholeReport(the_report(planted_workspace).folder)
    old = opened.data("report.json")
    planted_workspace.history(0).write_bytes(files.seal({"step": [1], "fvu": [0.5]})[0])
    interpret(texts)
    assert opened.data("report.json") != old
