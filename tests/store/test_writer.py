"""Rows in, the same rows out, and the same bytes however the run was cut."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.store.synthetic import (
    BATCH_ROWS,
    IDENTITY,
    Plan,
    activations,
    doc_ids,
    positions,
    stored,
    token_ids,
)
from tests.support.files import tree

from ghosttrack_cli.errors import ConflictError, LockedError, ModelError, StateError
from ghosttrack_cli.site import Site
from ghosttrack_cli.store.format.commit_record import read_commit
from ghosttrack_cli.store.format.norms import norms_of, square_norms
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.store.write.writer import StoreWriter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.format.dtypes import Array
    from ghosttrack_cli.store.format.identity import Compression, StoreDtype

pytestmark = pytest.mark.usefixtures("no_fsync", "small_segments")


def check(path: Path, rows: int, layers: Iterable[int]) -> None:
    store = ActivationStore.open(path)
    assert (store.rows, store.layers) == (rows, tuple(layers))
    assert np.array_equal(store.token_ids(), token_ids(0, rows))
    assert np.array_equal(store.doc_ids(), doc_ids(0, rows))
    assert np.array_equal(store.positions(), positions(0, rows))
    for layer in layers:
        assert np.array_equal(store.read(layer), stored(store.identity, layer, 0, rows))


def put(store: StoreWriter, start: int, stop: int, change: Array | None = None) -> None:
    d_model = store.commit.d_model
    rows = {site: activations(Site.of(site).layer, start, stop, d_model) for site in store.layers}
    if change is not None:
        rows[store.layers[-1]] += change
    ids = (token_ids(start, stop), doc_ids(start, stop), positions(start, stop))
    store.append(rows, *ids, cursor={"row": start})


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("compress", ["none", "lz4", "zstd"])
def test_rows_come_back(tmp_path: Path, dtype: StoreDtype, compress: Compression) -> None:
    identity = replace(IDENTITY, dtype=dtype, compress=compress)
    Plan((0, 2), 301, identity=identity).run(tmp_path / "a.zarr")
    check(tmp_path / "a.zarr", 301, (0, 2))
    assert read_commit(tmp_path / "a.zarr").complete


@pytest.mark.parametrize("torch_dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_tensors_are_rounded_as_torch_rounds(
    tmp_path: Path, dtype: StoreDtype, torch_dtype: torch.dtype
) -> None:
    values = torch.from_numpy(activations(0, 0, 30)).to(torch_dtype)
    identity = replace(IDENTITY, dtype=dtype)
    with StoreWriter.open(tmp_path / "a.zarr", identity, [0], asked_rows=30) as store:
        store.append({0: values}, token_ids(0, 30), doc_ids(0, 30), positions(0, 30), cursor=0)
        store.seal(complete=True)
    found = ActivationStore.open(tmp_path / "a.zarr").read(0).astype(np.float32)
    assert np.array_equal(found, values.to(getattr(torch, dtype)).float().numpy())


@pytest.mark.parametrize("cuts", [[1], [3, 1, 2], [1] * 7, [0, 2, 0]])
def test_stops_leave_no_trace(tmp_path: Path, cuts: list[int]) -> None:
    whole = Plan((0, 3), 333)
    whole.run(tmp_path / "whole.zarr")
    for batches in cuts:
        replace(whole, batches=batches).run(tmp_path / "cut.zarr")
    whole.run(tmp_path / "cut.zarr")
    assert tree(tmp_path / "cut.zarr") == tree(tmp_path / "whole.zarr")


@pytest.mark.parametrize("asked", [[40, 333], [16, 64, 333], [63, 64, 65, 128, 129, 333]])
def test_a_finished_store_grows(tmp_path: Path, asked: list[int]) -> None:
    Plan((0, 3), 333).run(tmp_path / "whole.zarr")
    for rows in asked:
        Plan((0, 3), rows).run(tmp_path / "grown.zarr")
        check(tmp_path / "grown.zarr", rows, (0, 3))
    assert tree(tmp_path / "grown.zarr") == tree(tmp_path / "whole.zarr")


@pytest.mark.parametrize("batches", [None, 1, 4])
def test_a_finished_store_takes_layers(tmp_path: Path, batches: int | None) -> None:
    Plan((0, 3, 7), 333).run(tmp_path / "whole.zarr")
    Plan((3,), 333).run(tmp_path / "added.zarr")
    Plan((0,), 333, batches).run(tmp_path / "added.zarr")
    half = ActivationStore.open(tmp_path / "added.zarr")
    assert half.layers == ((0, 3) if batches is None else (3,))
    assert half.complete == (batches is None)
    Plan((0, 7), 333).run(tmp_path / "added.zarr")
    check(tmp_path / "added.zarr", 333, (0, 3, 7))
    assert tree(tmp_path / "added.zarr") == tree(tmp_path / "whole.zarr")


def test_layers_and_rows_are_added_in_one_pass(tmp_path: Path) -> None:
    Plan((0, 3), 500).run(tmp_path / "whole.zarr")
    Plan((3,), 250).run(tmp_path / "both.zarr")
    Plan((0,), 500, 3).run(tmp_path / "both.zarr")
    Plan((0,), 500, 6).run(tmp_path / "both.zarr")
    Plan((0,), 500).run(tmp_path / "both.zarr")
    assert tree(tmp_path / "both.zarr") == tree(tmp_path / "whole.zarr")


def test_committed_chunks_are_never_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    Plan((0,), 160).run(path)
    before = {file: file.stat().st_ino for file in path.glob("*/c/*")} | {
        file: file.stat().st_ino for file in path.glob("layers/*/*/c/*/0")
    }
    Plan((0, 1), 400).run(path)
    assert all(file.stat().st_ino == inode for file, inode in before.items())


def test_a_finished_store_has_nothing_to_do(tmp_path: Path) -> None:
    Plan((0, 3), 333).run(tmp_path / "a.zarr")
    before = tree(tmp_path / "a.zarr")
    for layers, asked in (((0, 3), 333), ((3,), 333), ((0, 3), 20)):
        with StoreWriter.open(tmp_path / "a.zarr", IDENTITY, layers, asked_rows=asked) as store:
            assert store.finished
            assert store.full
    assert tree(tmp_path / "a.zarr") == before


def test_a_short_corpus_is_not_complete(tmp_path: Path) -> None:
    Plan((0,), 333, corpus_rows=210).run(tmp_path / "a.zarr")
    commit = read_commit(tmp_path / "a.zarr")
    assert (commit.rows, commit.asked_rows, commit.complete) == (210, 333, False)
    Plan((0,), 200).run(tmp_path / "a.zarr")
    assert read_commit(tmp_path / "a.zarr").complete
    check(tmp_path / "a.zarr", 210, (0,))


def test_overwrite_starts_anew(tmp_path: Path) -> None:
    Plan((0, 5), 100).run(tmp_path / "a.zarr")
    other = replace(IDENTITY, model="other")
    with StoreWriter.open(tmp_path / "a.zarr", other, [1], asked_rows=64, overwrite=True) as store:
        put(store, 0, 64)
        store.seal(complete=True)
    check(tmp_path / "a.zarr", 64, (1,))
    assert [file.name for file in tmp_path.iterdir() if not file.name.endswith(".lock")] == [
        "a.zarr"
    ]


def test_another_identity_is_refused_field_by_field(tmp_path: Path) -> None:
    Plan((0,), 100).run(tmp_path / "a.zarr")
    before = tree(tmp_path / "a.zarr")
    other = replace(
        IDENTITY,
        model="other",
        weights_sha256="0",
        context_length=16,
        dtype="float16",
        corpus={"kind": "files"},
    )
    with pytest.raises(ConflictError) as error:
        StoreWriter.open(tmp_path / "a.zarr", other, [0], asked_rows=100)
    differ = {"model", "weights_sha256", "context_length", "dtype", "corpus.kind"}
    assert set(error.value.fields) == differ
    assert error.value.fields["corpus.kind"] == ("rows", "files")
    assert tree(tmp_path / "a.zarr") == before


def test_other_text_is_refused(tmp_path: Path) -> None:
    Plan((0,), 100).run(tmp_path / "a.zarr")
    ids = token_ids(0, BATCH_ROWS)
    ids[33] += 1
    with StoreWriter.open(tmp_path / "a.zarr", IDENTITY, [1], asked_rows=100) as store:
        rows: dict[AnySite, Any] = {1: activations(1, 0, BATCH_ROWS)}
        with pytest.raises(ConflictError, match="token_ids, row 33"):
            store.append(rows, ids, doc_ids(0, BATCH_ROWS), positions(0, BATCH_ROWS), cursor=0)


def test_a_second_writer_is_refused_and_the_lock_is_freed(tmp_path: Path) -> None:
    with StoreWriter.open(tmp_path / "a.zarr", IDENTITY, [0], asked_rows=10):
        before = tree(tmp_path / "a.zarr")
        with pytest.raises(LockedError, match=r"process \d+, extract"):
            StoreWriter.open(tmp_path / "a.zarr", IDENTITY, [0], asked_rows=10)
        assert tree(tmp_path / "a.zarr") == before
    StoreWriter.open(tmp_path / "a.zarr", IDENTITY, [0], asked_rows=10).close()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named_and_not_committed(
    tmp_path: Path, value: float
) -> None:
    spoiled = np.zeros((40, 4), np.float32)
    spoiled[7, 2] = value
    with StoreWriter.open(tmp_path / "a.zarr", IDENTITY, [0, 3], asked_rows=500) as store:
        put(store, 0, 40)
        with pytest.raises(ModelError, match=r"not finite: layer 3, document 2, row 47"):
            put(store, 40, 80, spoiled)
    assert read_commit(tmp_path / "a.zarr").rows == 32
    with StoreWriter.open(tmp_path / "a.zarr", IDENTITY, [0, 3], asked_rows=80) as store:
        assert (store.cursor, store.position) == ({"row": 0}, 0)
        put(store, 0, 80)
        store.seal(complete=True)
    check(tmp_path / "a.zarr", 80, (0, 3))


def test_float16_overflow_is_named(tmp_path: Path) -> None:
    identity = replace(IDENTITY, dtype="float16")
    spoiled = np.zeros((40, 4), np.float32)
    spoiled[7, 2] = 70_000
    with (
        StoreWriter.open(tmp_path / "a.zarr", identity, [3], asked_rows=500) as store,
        pytest.raises(ModelError, match=r"too large for float16: layer 3, document 0, row 7: 7000"),
    ):
        put(store, 0, 40, spoiled)


def test_large_finite_values_are_kept(tmp_path: Path) -> None:
    spoiled = np.zeros((40, 4), np.float32)
    spoiled[7, 2] = 1e30
    with StoreWriter.open(tmp_path / "a.zarr", IDENTITY, [3], asked_rows=40) as store:
        put(store, 0, 40, spoiled)
        store.seal(complete=True)
    found = ActivationStore.open(tmp_path / "a.zarr")
    assert norms_of(square_norms(found.read(3)))[7] == pytest.approx(1e30)
    assert found.statistics(3).max_norm == pytest.approx(1e30)


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "mine.txt").write_text("precious")
    with pytest.raises(StateError, match="not an activation store"):
        StoreWriter.open(tmp_path / "a.zarr", IDENTITY, [0], asked_rows=10)
    assert tree(tmp_path / "a.zarr") == {"mine.txt": b"precious"}


def test_statistics_do_not_depend_on_batches(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a.zarr", "b.zarr"):
        with StoreWriter.open(tmp_path / name, IDENTITY, [0], asked_rows=500) as store:
            row = 0
            while not store.full:
                n = int(rng.integers(1, 60))
                put(store, row, row + n)
                row += n
            store.seal(complete=True)
    one, other = read_commit(tmp_path / "a.zarr"), read_commit(tmp_path / "b.zarr")
    assert one.sums == other.sums
    norms = np.linalg.norm(activations(0, 0, 500).astype(np.float64), axis=1)
    found = one.statistics[0]
    assert found.rows == 500
    assert found.median_norm == pytest.approx(float(np.median(norms)), rel=4e-3)
    assert found.mean_square_norm == pytest.approx(float((norms**2).mean()), rel=1e-6)
    assert found.max_norm == pytest.approx(float(norms.max()), rel=1e-6)
