"""A disk that is really too small, or fills up while rows are written: a tmpfs of a few MB."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.files import tree

from ghosttrack_cli.errors import DiskError
from ghosttrack_cli.extraction.stage import extract
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.monitor import Monitor, Progress
from ghosttrack_cli.store.read.reader import ActivationStore

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTE = 2**20


def test_a_plan_that_does_not_fit_is_refused_before_the_model_loads(
    mounted: Any, make_extraction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResidualModel, "load", None)
    extraction = make_extraction(mounted(2) / "workspace")
    with pytest.raises(DiskError, match=r"need 3\.5 MB more, 2\.1 MB is free"):
        extraction(layers="0,2")
    assert not extraction.workspace.store.exists()


class Filler:
    """Takes all the space that is left, once enough rows are stored."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self, progress: Progress) -> None:
        if progress.done > 8192 and not self.file.exists():
            with suppress(OSError):
                self.file.write_bytes(bytes(8 * MEGABYTE))


def test_a_disk_that_fills_up_loses_nothing_and_the_rerun_ends_the_same(
    mounted: Any, make_extraction: Any, tmp_path: Path
) -> None:
    disk = mounted(8)
    extraction, filler = make_extraction(disk / "workspace"), disk / "filler"
    store = extraction.workspace.store
    request = extraction.request(layers="0,2")
    with pytest.raises(DiskError, match=r"cannot write .*activations\.zarr.*No space left") as full:
        extract(request, Monitor(Filler(filler)))
    assert "free some space" in (full.value.hint or "")
    assert ActivationStore.open(store).verify() == []
    filler.unlink()
    whole = make_extraction(tmp_path / "whole")
    assert tree(extraction(layers="0,2").store) == tree(whole(layers="0,2").store)
