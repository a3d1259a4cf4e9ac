"""Reading everything back: reported as it goes, and stopped when asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.store.synthetic import Plan

from ghosttrack_cli.errors import Stopped
from ghosttrack_cli.monitor import Monitor, Progress
from ghosttrack_cli.store.format import chunks
from ghosttrack_cli.store.read.reader import ActivationStore

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_fsync", "small_segments")


def test_it_counts_every_byte_of_every_array(tmp_path: Path) -> None:
    Plan((0, 2), 333).run(tmp_path / "a.zarr")
    reports: list[Progress] = []
    assert ActivationStore.open(tmp_path / "a.zarr").verify(Monitor(reports.append)) == []
    row_bytes = 2 * 4 * 4 + 4 + 8 + 4
    assert reports[-1] == Progress("verifying", 333 * row_bytes, 333 * row_bytes, "bytes")
    assert [report.done for report in reports] == sorted({report.done for report in reports})


def test_a_signal_ends_it_without_reading_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Plan((0,), 3000).run(tmp_path / "a.zarr")
    read: list[int] = []
    find_fault = chunks.find_fault

    def noted(*arguments: object) -> str | None:
        read.append(1)
        time.sleep(0.005)  # all of them take seconds: a busy machine comes to the signal in time
        return find_fault(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(chunks, "find_fault", noted)
    with pytest.raises(Stopped):
        ActivationStore.open(tmp_path / "a.zarr").verify(Monitor(stop_signal=lambda: 2))
    assert len(read) < 3000 // 16
