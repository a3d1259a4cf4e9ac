"""The plan says what memory a training will take: measured in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from ghosttrack_cli.training.plan import peak_memory
from ghosttrack_cli.training.plan.peak_memory import host_bytes
from ghosttrack_cli.training.rows import layer_rows
from ghosttrack_cli.training.step.state import state_bytes

if TYPE_CHECKING:
    from tests.training.conftest import Bench

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is told by Linux")
def test_the_plan_is_right_for_a_wide_sae() -> None:
    """Dense blocks of rows, then entries, evaluations, checkpoints, resuming and the finish."""
    shape = ["--d-model", "32", "--d-hidden", "16384", "--batch-size", "2048"]
    done = subprocess.run(
        [sys.executable, "benchmarks/memory.py", *shape],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    ratio = float(done.stdout.split()[-1])
    assert 0.87 < ratio < 1.15, done.stdout


def test_what_does_not_grow_with_the_width() -> None:
    """State, gradients and folded SAE do, and two states while a checkpoint is read."""
    narrow, wide = (host_bytes(768, F, 4096, 8192, 0, torch.float32) for F in (24_576, 49_152))
    grown = state_bytes(768, 49_152) - state_bytes(768, 24_576)
    assert wide - narrow == pytest.approx(grown * 4 / 3, rel=0.01)
    assert host_bytes(768, 2**20, 4096, 8192, 0, torch.float32) == 2 * state_bytes(768, 2**20)


def test_a_layer_that_does_not_fit_is_planned_as_blocks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bench.store()
    row_bytes = store.identity.row_bytes
    assert peak_memory.stored_bytes(store, 100, resident=True) == 6_100 * row_bytes
    monkeypatch.setattr(layer_rows, "BLOCK_ROWS", 1000)
    monkeypatch.setattr(layer_rows, "BLOCK_BYTES", 0)
    assert peak_memory.stored_bytes(store, 100, resident=False) == 3_100 * row_bytes
    assert layer_rows.block_rows(store) == 1000
    assert peak_memory.order_bytes(store) == 48_000


def test_a_layer_no_larger_than_three_blocks_is_mixed_whole(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bench.store()
    monkeypatch.setattr(layer_rows, "BLOCK_BYTES", 0)
    monkeypatch.setattr(layer_rows, "BLOCK_ROWS", 2000)
    assert layer_rows.block_rows(store) == store.rows == 6000
    assert peak_memory.stored_bytes(store, 100, resident=False) == 6_100 * store.identity.row_bytes
    monkeypatch.setattr(layer_rows, "BLOCK_ROWS", 1999)
    assert layer_rows.block_rows(store) == 1999
