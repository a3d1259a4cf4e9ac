"""Measured numbers are written one way: by `quantities`, in the terminal and in messages."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import ghosttrack_cli
from ghosttrack_cli.quantities import format_figure, format_percent

SOURCE = Path(ghosttrack_cli.__file__).parent
FORMAT = re.compile(r"(?!\+).*\.\d+[gfe%]")
ALLOWED = {
    "quantities.py": "the formatters themselves",
    "drawing.py": "activations under one another, with as many decimals",
    "output.py": "the same",
}
COMMANDS = {"_lower", "written"}
"""Functions that write a number for a command line."""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.012345, "0.0123"),
        (0.5, "0.500"),
        (66.17, "66.2"),
        (123.4, "123"),
        (999.6, "1,000"),
        (23456.7, "23,457"),
        (-0.25, "-0.250"),
        (1.23e-5, "1.23e-05"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("12%", "12%"),
    ],
)
def test_a_figure_has_three_digits_that_count(value: float | str, text: str) -> None:
    assert format_figure(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0%"),
        (1.0, "100%"),
        (0.012345, "1.23%"),
        (0.0000456, "0.00456%"),
        (0.99987, "99.99%"),
        (0.5, "50.0%"),
    ],
)
def test_a_share_in_percent(share: float, text: str) -> None:
    assert format_percent(share) == text


def formats(path: Path) -> list[str]:
    """The formats of a module that round a number, but for what is stored or typed."""
    tree = ast.parse(path.read_text())
    exempt: set[int] = set()
    for node in ast.walk(tree):
        stored = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "float"
        typed = isinstance(node, ast.FunctionDef) and node.name in COMMANDS
        if stored or typed:
            exempt.update(id(one) for one in ast.walk(node))
    return [
        f"{path.name}:{node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.FormattedValue)
        and id(node) not in exempt
        and node.format_spec is not None
        and FORMAT.fullmatch(
            "".join(
                str(getattr(x, "value", ""))
                for x in ast.walk(node.format_spec)
                if isinstance(x, ast.Constant)
            )
        )
    ]


def test_no_message_rounds_by_itself() -> None:
    paths = [path for path in SOURCE.rglob("*.py") if path.name not in ALLOWED]
    assert len(paths) > 200
    assert [where for path in paths for where in formats(path)] == []
