"""Training batches: every kept row once an epoch, the same from memory and from the disk."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store.synthetic import IDENTITY, Plan

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.format.dtypes import to_torch
from ghosttrack_cli.store.read.batches import RowBatches, shuffled_blocks
from ghosttrack_cli.store.read.reader import ActivationStore

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 333


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    path = tmp_path_factory.mktemp("store") / "a.zarr"
    Plan((2,), ROWS, identity=replace(IDENTITY, dtype="bfloat16")).run(path)
    return ActivationStore.open(path)


def make(
    store: ActivationStore,
    *,
    resident: bool,
    batch_size: int = 20,
    seed: int = 7,
    block_rows: int = 64,
    device: str = "cpu",
) -> RowBatches:
    return RowBatches(
        store,
        2,
        store.positions() != 0,
        batch_size=batch_size,
        seed=seed,
        resident=resident,
        block_rows=block_rows,
        device=device,
    )


def epochs(batches: RowBatches, first: int, count: int = 1) -> list[torch.Tensor]:
    """All batches of some epochs."""
    size = batches.steps_per_epoch
    return list(batches.batches(first * size, (first + count) * size))


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
@pytest.mark.parametrize("resident", [True, False])
def test_an_epoch_is_the_kept_rows_in_its_order(
    store: ActivationStore, resident: bool, device: str
) -> None:
    """Gathered in the host's memory, and as on a device of its own."""
    batches = make(store, resident=resident, device=device)
    rows = torch.cat(epochs(batches, 3))
    order = batches.order(3)[: len(rows)]
    assert batches.rows == int((store.positions() != 0).sum())
    assert len(set(order.tolist())) == len(order) == batches.steps_per_epoch * 20
    assert torch.equal(rows, to_torch(store.read(2))[torch.from_numpy(order)])
    assert rows.dtype == torch.bfloat16


@settings(deadline=None, max_examples=20)
@given(
    batch_size=st.integers(1, 400),
    block_rows=st.integers(1, 400),
    epoch=st.integers(0, 5),
    seed=st.integers(0, 2**63),
    data=st.data(),
)
def test_any_start_continues_the_epoch_and_the_next_one(
    store: ActivationStore,
    batch_size: int,
    block_rows: int,
    epoch: int,
    seed: int,
    data: st.DataObject,
) -> None:
    resident, streamed = (
        make(store, resident=where, batch_size=batch_size, block_rows=block_rows, seed=seed)
        for where in (True, False)
    )
    whole = epochs(resident, epoch, 2)
    start = data.draw(st.integers(0, resident.steps_per_epoch))
    first = epoch * resident.steps_per_epoch
    rest = streamed.batches(first + start, first + len(whole))
    assert all(torch.equal(a, b) for a, b in zip(whole[start:], rest, strict=True))
    assert torch.equal(
        torch.cat(whole), torch.cat(epochs(resident, epoch) + epochs(resident, epoch + 1))
    )


def test_orders_differ_between_epochs_and_seeds(store: ActivationStore) -> None:
    batches = make(store, resident=True)
    assert not np.array_equal(batches.order(0), batches.order(1))
    assert not np.array_equal(batches.order(0), make(store, resident=True, seed=8).order(0))


def test_an_order_is_the_same_in_every_version(store: ActivationStore) -> None:
    """A training goes on with rows that it has not seen in this epoch."""
    order = make(store, resident=True).order(5).astype("<i8").tobytes()
    assert hashlib.sha256(order).hexdigest()[:16] == "a78f4dd4c7b9b748"


def test_one_block_mixes_all_rows(store: ActivationStore) -> None:
    order = make(store, resident=True, block_rows=ROWS).order(0)
    assert np.abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.15


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12, 13])
def test_no_block_is_a_small_rest(count: int) -> None:
    blocks = shuffled_blocks(13, count, seed=1, epoch=2)
    sizes = [len(block.chunks) for block in blocks]
    assert sorted(np.concatenate([block.chunks for block in blocks])) == list(range(13))
    assert len(sizes) == count
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("resident", [True, False])
def test_leaving_early_stops_the_threads(store: ActivationStore, resident: bool) -> None:
    before = threading.active_count()
    stream = make(store, resident=resident).batches(0, 9)
    next(stream)
    assert threading.active_count() > before
    stream.close()
    assert threading.active_count() == before


def test_a_bad_chunk_reaches_the_trainer(tmp_path: Path) -> None:
    Plan((2,), ROWS).run(tmp_path / "a.zarr")
    layout.chunk_path(tmp_path / "a.zarr", layout.layer_array(2), 9).unlink()
    store = ActivationStore.open(tmp_path / "a.zarr")
    with pytest.raises(CorruptionError, match="chunk 9"):
        epochs(make(store, resident=False), 0)
