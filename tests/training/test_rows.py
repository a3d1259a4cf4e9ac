"""The rows of a layer: the same from the disk, from memory and as on a device of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tests.training.conftest import LAYER, planted_rows, write_store

from ghosttrack_cli.settings.schema import SAETrainingSettings
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.training.rows import layer_rows as rows_module
from ghosttrack_cli.training.rows.layer_rows import FOLDS, LayerRows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

TRAINING = SAETrainingSettings(val_fraction=0.3)


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    write_store(tmp_path / "a.zarr", planted_rows(5000)[0])
    return ActivationStore.open(tmp_path / "a.zarr")


def looks(rows: LayerRows) -> Iterator[Tensor]:
    """Everything that evaluation, calibration and the count of dead features see."""
    yield torch.cat(list(rows.validation()))
    yield torch.cat(list(rows.validation(200)))
    yield torch.cat(list(rows.sample(300)))
    for fold in range(FOLDS):
        yield torch.cat([torch.empty(0, 32), *(x for number, x in rows.folds() if number == fold)])


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
@pytest.mark.parametrize("resident", [True, False])
def test_training_changes_nothing_about_the_rows_looked_at(
    store: ActivationStore, device: str, resident: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "fits", lambda *_: resident)
    rows = LayerRows(store, LAYER, TRAINING, torch.device(device))
    before = list(looks(rows))
    assert sum(len(x) for x in rows.batches(256, 0, 3)) == 768
    fresh = LayerRows(store, LAYER, TRAINING, torch.device(device))
    next(iter(fresh.batches(256, 0, 3)))
    for other in (rows, fresh):
        assert all(torch.equal(a, b) for a, b in zip(before, looks(other), strict=True))


def test_a_resident_layer_is_read_once_more_after_its_survey(
    store: ActivationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = LayerRows(store, LAYER, TRAINING, torch.device("cpu"))
    next(iter(rows.batches(256, 0, 3)))
    for way in ("read", "read_chunk_into"):
        monkeypatch.setattr(ActivationStore, way, lambda *_: pytest.fail("read again"))
    assert sum(map(len, rows.validation())) == rows.survey.val_rows
    assert sum(len(x) for _, x in rows.folds()) == rows.survey.val_rows
    assert sum(map(len, rows.sample(10**6))) == rows.survey.train_rows


def test_what_is_looked_at_is_drawn_once_and_held_out(store: ActivationStore) -> None:
    rows = LayerRows(store, LAYER, TRAINING, torch.device("cpu"))
    some, again = (torch.cat(list(rows.validation(200))) for _ in range(2))
    assert torch.equal(some, again)
    held_out = {tuple(row) for row in torch.cat(list(rows.validation())).tolist()}
    trained = {tuple(row) for row in torch.cat(list(rows.sample(10**6))).tolist()}
    assert len({tuple(row) for row in some.tolist()} & held_out) == 200
    assert not held_out & trained
