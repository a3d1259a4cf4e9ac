"""The survey of a layer: its scale, its mean and its counts are those of the rows it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.training.conftest import LAYER, planted_rows, write_store

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.store.format.norms import column_sums
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.store.read.row_order import Split
from ghosttrack_cli.training.rows.survey import survey_layer

if TYPE_CHECKING:
    from pathlib import Path

ROWS, WINDOW = 2500, 32


@pytest.fixture
def x() -> np.ndarray:
    """Three chunks of rows, of which one is far longer than the others."""
    x = planted_rows(ROWS)[0]
    x[77] *= 50
    return x


@pytest.fixture
def store(tmp_path: Path, x: np.ndarray) -> ActivationStore:
    write_store(tmp_path / "a.zarr", x)
    return ActivationStore.open(tmp_path / "a.zarr")


def split(validation: np.ndarray) -> Split:
    return Split(validation, "documents", 1, 2)


def test_scale_and_mean_are_those_of_the_kept_training_rows(
    store: ActivationStore, x: np.ndarray
) -> None:
    validation = np.arange(ROWS) >= 2000
    survey, keep = survey_layer(store, LAYER, split(validation))
    left_out = np.arange(ROWS) % WINDOW == 0
    left_out[77] = True
    assert np.array_equal(keep, ~left_out)
    train = x[keep & ~validation].astype(np.float64)
    scale = 1 / np.sqrt(np.square(train).sum(axis=1).mean())
    assert survey.scale == pytest.approx(scale, rel=1e-6)
    np.testing.assert_allclose(survey.mean.numpy(), train.mean(axis=0) * scale, atol=1e-6)
    first = int(np.ceil(ROWS / WINDOW))
    assert survey.mask == {
        "rows": ROWS, "position_0": first, "special": 0, "outlier": 1, "kept": ROWS - first - 1,
    }  # fmt: skip
    assert (survey.train_rows, survey.val_rows) == (len(train), int((keep & validation).sum()))


def test_threads_change_no_bit(tmp_path: Path, x: np.ndarray) -> None:
    write_store(tmp_path / "b.zarr", x, chunk_rows=32)  # 79 chunks
    store = ActivationStore.open(tmp_path / "b.zarr")
    validation = np.arange(ROWS) >= 2000
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 3, 8):
            torch.set_num_threads(threads)
            seen.append(survey_layer(store, LAYER, split(validation))[0])
    finally:
        torch.set_num_threads(before)
    assert len({survey.scale for survey in seen}) == 1
    assert all(torch.equal(survey.mean, seen[0].mean) for survey in seen)


@pytest.mark.parametrize(("held_out", "side"), [(False, "validate on"), (True, "train on")])
def test_a_side_without_rows_is_said(store: ActivationStore, held_out: bool, side: str) -> None:
    with pytest.raises(CorpusError, match=f"no rows to {side} among 2,500"):
        survey_layer(store, LAYER, split(np.full(ROWS, held_out)))


def test_sums_are_exact_where_float32_is_not() -> None:
    rows = np.ones((100_000, 3), np.float32)
    rows[0] = 2.0**24
    assert column_sums(rows, np.arange(100_000) < 70_000).tolist() == [2.0**24 + 69_999] * 3
