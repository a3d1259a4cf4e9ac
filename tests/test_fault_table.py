"""The table at the end of the faults suite counts what tests say."""

from __future__ import annotations

import pytest
from tests.fault_table import fault, lines, rows


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
