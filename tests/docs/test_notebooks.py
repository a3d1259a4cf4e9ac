"""The notebooks run from top to bottom, offline and in an empty folder; they hold no outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SMALL = {
    "demo": 'WORKSPACE = "notebook-demo"\nTOKENS = 6_000\nFEATURES = 128\nEPOCHS = 1\n',
    "your_own": "TOKENS = 4_000\nEPOCHS = 1\n",
}
"""What their first cell of code says here, after what it says for everyone."""
SAID = {
    "demo": (" blocks, D = ", "held-out rows", "features fire on these", "Feature "),
    "your_own": ("layers 2 4", "layer 4: FVU", "mine", "clean "),
}


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert "parameters" in code[0].metadata["tags"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notebook = read(path)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source += "\n" + SMALL[path.stem]
    NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    said = "".join(
        output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream"
    )
    assert [words for words in SAID[path.stem] if words not in said] == []
    assert list(tmp_path.glob("notebook-*/checkpoints/sae_layer_4_best"))
