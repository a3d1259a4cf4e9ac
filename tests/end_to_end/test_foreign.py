"""The commands of docs/foreign.md run as they are written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from tests.end_to_end.conftest import DEMO_MODEL
from tests.foreign import made

from ghosttrack_cli.cli.app import run_program
from ghosttrack_cli.foreign.table import FAMILIES, QWEN_SCOPE

PAGE = Path(__file__).parents[2] / "docs" / "foreign.md"
WIDTH = 192


@pytest.mark.usefixtures("one_thread")
def test_every_command_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = re.findall(r"^\$ ghosttrack (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    assert [words.split()[0] for words in commands] == ["import", "interpret", "status"]
    monkeypatch.chdir(tmp_path)
    Path("model").symlink_to(DEMO_MODEL)
    # Each number of a row and its opposite: a TopK that keeps the 32 largest.
    folder = made.sparsify(tmp_path / "theirs", "layers.1", d_in=WIDTH, k=32)
    one = torch.eye(WIDTH)
    made.write_safetensors(
        folder / "sae.safetensors",
        {
            "encoder.weight": torch.cat([one, -one]),
            "encoder.bias": torch.zeros(2 * WIDTH),
            "W_dec": torch.cat([one, -one]),
            "b_dec": torch.zeros(WIDTH),
        },
    )
    for words in commands:
        assert run_program(shlex.split(words)) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "imported from theirs/layers.1 (sparsify)" in " ".join(said.split())
    assert f"of {2 * WIDTH} features fire" in said


def test_the_page_names_every_family() -> None:
    text = PAGE.read_text()
    for family in (*FAMILIES, QWEN_SCOPE):
        assert f"| {family.name}" in text
