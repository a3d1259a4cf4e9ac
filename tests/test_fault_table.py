"""The table at the end of the faults suite counts what tests say."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.fault_table import VARIABLE, fault, lines, rows

ROOT = Path(__file__).parents[1]
CUT_OFF = """
import time, pytest
from tests.fault_table import fault

@pytest.mark.faults
def test_quick(record_property):
    record_property("fault", fault("kill -9", 12))

@pytest.mark.faults
def test_that_never_ends():
    time.sleep(600)
"""


def report(test: str, outcome: str, *recorded: str, marked: bool = True) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=f"tests/faults/test_x.py::{test}",
        location=("", 0, ""),
        keywords={"faults": 1} if marked else {},
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=None,
        when="call",
        user_properties=[("fault", one) for one in recorded],
    )


def test_passed_and_failed_tests_are_counted() -> None:
    found = rows(
        [
            report("test_kill[a]", "passed", fault("kill -9", 20)),
            report("test_kill[b]", "failed", fault("kill -9", 5)),
            report("test_full_disk[8 MB]", "passed"),
            report("test_full_disk[9 MB]", "passed"),
            report("test_something", "passed", marked=False),
            report("test_quick_kill", "passed", fault("kill -9", 1), marked=False),
            report("test_left_out", "skipped"),
        ]
    )
    assert [row.cells for row in found] == [
        ("kill -9", "26", "21", "5"),
        ("faults: full disk", "2", "2", "0"),
    ]
    assert lines(found)[-1] == "| faults: full disk |        2 |        2 |    0 |"


def test_a_run_that_is_cut_off_prints_its_table_and_keeps_its_files(tmp_path: Path) -> None:
    """`make` and `timeout` send SIGTERM; what a test recorded is in a JUnit file too."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_configure\n")
    (tmp_path / "test_cut_off.py").write_text(CUT_OFF)
    table = tmp_path / "table.md"
    options = ("-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, "-p", "no:cacheprovider")
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, "-n", "1", "--junitxml", "junit.xml", tmp_path],
        cwd=tmp_path,
        env=os.environ | {VARIABLE: str(table), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 60
        while not table.is_file() and run.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.5)
        run.send_signal(signal.SIGTERM)
        said, _ = run.communicate(timeout=60)
    finally:
        run.kill()
    expected = lines(rows([report("test_quick", "passed", fault("kill -9", 12))]))
    assert table.read_text().splitlines() == expected
    assert "\n".join(expected) in said
    found = ET.parse(tmp_path / "junit.xml").iter("property")  # noqa: S314 - our own
    assert [(one.get("name"), one.get("value")) for one in found] == [("fault", "kill -9\t12")]
