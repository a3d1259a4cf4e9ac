"""SIGTERM at the largest chunk and checkpoint: the program is gone well before SIGKILL comes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.fault_table import fault
from tests.training.conftest import planted_rows, write_store

from ghosttrack_cli.store.format.commit_record import read_commit
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

TO_LIVE = 30.0
"""Seconds that batch systems give between SIGTERM and SIGKILL."""
WIDE, FEATURES = 2048, 16_384
"""A checkpoint holds weights and two moments of both matrices: 24 D F bytes, here 805 MB."""
CHUNK_BYTES = 8192 * WIDE * 4


def start(folder: Path, *command: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ghosttrack_cli", *map(str, command)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], begun: Callable[[], bool]) -> None:
    while not begun():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def seconds_to_end(process: subprocess.Popen[str]) -> float:
    """From SIGTERM to the end, which must be the one of a run that was saved."""
    process.send_signal(signal.SIGTERM)
    since = time.monotonic()
    _, said = process.communicate(timeout=300)
    seconds = time.monotonic() - since
    assert process.returncode == 143, said
    assert "Progress is saved" in said, said
    return seconds


def test_a_training_saves_its_largest_checkpoint_in_time(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    workspace = Workspace(tmp_path / "ghosttrack-data")
    workspace.root.mkdir()
    write_store(workspace.store, planted_rows(6000, D=WIDE)[0], layers=(0,))
    manifest = workspace.training_progress(0)
    process = start(
        tmp_path, "train", "--d-hidden", str(FEATURES), "--batch-size", "64", "--epochs", "1000"
    )
    wait_for(process, manifest.exists)
    time.sleep(5)  # a few steps
    seconds = seconds_to_end(process)
    state = json.loads(manifest.read_text())
    assert state["state"] == "stopped"
    newest = workspace.sae(0, "last") / f"step-{state['step']:09d}.safetensors"
    assert newest.stat().st_size > 24 * WIDE * FEATURES
    assert seconds < TO_LIVE
    record_property(
        "fault", fault(f"SIGTERM: a checkpoint of 805 MB, gone after {seconds:.0f} s", 1)
    )


def test_an_extraction_commits_its_largest_chunk_in_time(
    tmp_path: Path,
    make_model_folder: Callable[..., Path],
    record_property: Callable[[str, object], None],
) -> None:
    model = make_model_folder(
        "gpt2",
        hidden_size=WIDE,
        num_attention_heads=16,
        num_hidden_layers=1,
        intermediate_size=16,
        max_position_embeddings=128,
    )
    lines = [json.dumps({"text": f"Document {n} tells of {n * 7919}. " * 20}) for n in range(4000)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines) + "\n")
    workspace = Workspace(tmp_path / "ghosttrack-data")
    process = start(
        tmp_path,
        *("extract", "--model", model, "--corpus", "texts.jsonl", "--layers", "0"),
        *("--tokens", "1M", "--context-length", "128", "--batch-size", "4"),
    )
    chunks = workspace.store / "layers" / "00" / "resid_post" / "c"
    wait_for(process, lambda: chunks.is_dir() and any(chunks.iterdir()))
    time.sleep(2)
    seconds = seconds_to_end(process)
    assert read_commit(workspace.store).rows > 0
    assert max(one.stat().st_size for one in chunks.rglob("*")) >= CHUNK_BYTES
    assert seconds < TO_LIVE
    record_property("fault", fault(f"SIGTERM: chunks of 67 MB, gone after {seconds:.0f} s", 1))
