"""A benchmark leaves one record of its run, and has a line in benchmarks/README.md."""

from __future__ import annotations

import argparse
import ast
import json
import re
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(
    path for path in FOLDER.glob("*.py") if '__name__ == "__main__"' in path.read_text("utf-8")
)


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The module `record`, as the scripts beside it import it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return runpy.run_path(str(FOLDER / "record.py"))


def the_record(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


@pytest.mark.usefixtures("one_thread")
def test_the_cheapest_benchmark_writes_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tokenise.py", "--seconds", "0.05", "--repeats", "1", "--record", str(tmp_path)]
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(FOLDER / "tokenise.py"), run_name="__main__")
    found = the_record(tmp_path)
    assert (found["schema"], found["benchmark"], found["complete"]) == (1, "tokenise", True)
    assert found["command"] == words
    assert found["options"] == {"seconds": 0.05, "repeats": 1, "record": str(tmp_path)}
    assert found["machine"]["cores"] >= 1
    assert found["versions"]["torch"]
    names = [one["background"] for one in found["figures"]]
    assert names == ["nothing", "memory of words", "the tokenizer's threads"]
    assert all(one["operations_per_second"] > 0 for one in found["figures"])
    assert "nothing in the background" in capsys.readouterr().out


def test_a_stopped_run_is_recorded_as_incomplete(record: dict[str, Any], tmp_path: Path) -> None:
    recording: Callable[..., Any] = record["recording"]
    options = argparse.Namespace(record=tmp_path)

    def stopped() -> None:
        with recording("x", options):
            record["figure"]("speed", rows_per_second=5.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    found = the_record(tmp_path)
    assert not found["complete"]
    assert found["figures"] == [{"table": "speed", "rows_per_second": 5.0}]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_benchmark_is_recorded_and_described(path: Path) -> None:
    called = {
        node.func.id: node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert {"add_option", "figure", "recording"} <= set(called)
    assert ast.literal_eval(called["recording"].args[0]) == path.stem
    assert re.search(
        rf"^\| `{path.name}` \|", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE
    )
