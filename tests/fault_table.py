"""The table at the end of `make test-faults`: fault, provoked, survived, lost.

A test records what it provoked with `record_property("fault", fault(name, provoked))`; one that
records nothing counts as one. A test that fails counts all that it provoked as lost.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

VARIABLE = "FAULT_TABLE"
"""Names a file that the table is written to as Markdown."""
COLUMNS = ("fault", "provoked", "survived", "lost")


@dataclass(frozen=True)
class Row:
    """What became of one kind of fault."""

    name: str
    provoked: int
    lost: int

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.name, f"{self.provoked:,}", f"{self.provoked - self.lost:,}", f"{self.lost:,}")


def fault(name: str, provoked: int) -> str:
    """What a test records."""
    return f"{name}\t{provoked}"


def rows(reports: Iterable[pytest.TestReport]) -> list[Row]:
    """One row for each fault, those that lost something first."""
    found: dict[str, Row] = {}
    for report in reports:
        if not hasattr(report, "when"):  # a test that was not asked for is listed as itself
            continue
        if report.skipped or not ("faults" in report.keywords or _recorded(report)):
            continue
        if report.when != "call" and not report.failed:
            continue
        for name, provoked in _recorded(report) or [(_words(report.nodeid), 1)]:
            before = found.get(name, Row(name, 0, 0))
            lost = provoked if report.failed else 0
            found[name] = Row(name, before.provoked + provoked, before.lost + lost)
    return sorted(found.values(), key=lambda row: (-row.lost, row.name))


def _recorded(report: pytest.TestReport) -> list[tuple[str, int]]:
    pairs = [str(value).split("\t") for name, value in report.user_properties if name == "fault"]
    return [(name, int(provoked)) for name, provoked in pairs]


def _words(nodeid: str) -> str:
    file, _, test = nodeid.partition("::")
    name = test.partition("[")[0].removeprefix("test_").replace("_", " ")
    return f"{Path(file).parent.name}: {name}"


def lines(table: list[Row]) -> list[str]:
    """The table as Markdown."""
    cells = [COLUMNS, *(row.cells for row in table)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    shown = [
        "| " + " | ".join(_cell(text, i, widths[i]) for i, text in enumerate(line)) + " |"
        for line in cells
    ]
    rule = (
        "|"
        + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths))
        + "|"
    )
    return [shown[0], rule, *shown[1:]]


def _cell(text: str, column: int, width: int) -> str:
    return text.rjust(width) if column else text.ljust(width)


class FaultTable:
    """Prints the table at the end of a run, however it ends; keeps the file of VARIABLE current."""

    def __init__(self) -> None:
        self._file = os.environ.get(VARIABLE)
        self._reports: list[pytest.TestReport] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._reports.append(report)
        table = rows([report])
        if table and self._file is not None:
            partial = Path(f"{self._file}.partial")
            partial.write_text("\n".join(lines(rows(self._reports))) + "\n")
            partial.replace(self._file)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        table = rows(self._reports)
        if table:
            terminalreporter.write_sep("=", "faults")
            terminalreporter.write_line("\n".join(lines(table)))
