"""Terminals of 50, 80 and 120 columns: what is shown is what was looked at, and it fits."""

from __future__ import annotations

import re

import pytest
from tests.cli.captures import FOLDER, SCENES, WATCHED_ROWS, WIDTHS, capture, path

from ghosttrack_cli.cli.terminal.output import width

CASES = [(scene, columns) for scene in SCENES for columns in WIDTHS]


@pytest.mark.parametrize(("scene", "columns"), CASES)
def test_a_scene_is_shown_as_it_was_looked_at(scene: str, columns: int) -> None:
    expected = path(scene, columns).read_text("utf-8")
    assert capture(scene, columns) == expected, "python -m tests.cli.captures writes it anew"


@pytest.mark.parametrize(("scene", "columns"), CASES)
def test_a_scene_fits_its_terminal(scene: str, columns: int) -> None:
    for row in path(scene, columns).read_text("utf-8").splitlines():
        command = re.match(r"  ghosttrack |hint: ghosttrack ", row)
        one_word = re.fullmatch(r"\s*\S+", row)
        assert width(row) <= columns or command or one_word, row


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_watched_status_has_all_that_matters_in_its_rows(columns: int) -> None:
    rows = path("status_watched", columns).read_text("utf-8").splitlines()
    assert len(rows) < WATCHED_ROWS
    text = "\n".join(rows)
    assert "next" in text
    assert "checklist" in text or "recon" in text


def test_every_capture_has_a_scene() -> None:
    assert {one.name for one in FOLDER.iterdir()} == {path(*case).name for case in CASES}
