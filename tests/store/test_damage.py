"""What a disk can do to a store is found, named, and repaired."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.store import kills, synthetic
from tests.store.synthetic import BATCH_ROWS, IDENTITY, Plan
from tests.support.files import tree

from ghosttrack_cli import files
from ghosttrack_cli.errors import ConflictError, CorruptionError, DiskError, StateError
from ghosttrack_cli.site import AnySite, Site
from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.format.commit_record import read_commit
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.store.write.repair import StoreRepair
from ghosttrack_cli.store.write.writer import StoreWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ghosttrack_cli.store.format.identity import Compression

pytestmark = pytest.mark.usefixtures("no_fsync", "small_segments")
ROWS = 333


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def grow(path: Path) -> None:
    os.truncate(path, path.stat().st_size + 1)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def delete(path: Path) -> None:
    path.unlink()


def flip(path: Path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)


def flip_row(path: Path) -> None:
    flip(path, 30)


def flip_checksum(path: Path) -> None:
    flip(path, -2)


DAMAGE = [truncate, grow, empty, delete, flip_row, flip_checksum]


@pytest.mark.parametrize("compress", ["none", "zstd"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_bad_chunk_is_refused_named_and_repaired(
    tmp_path: Path, damage: Callable[[Path], None], compress: Compression
) -> None:
    path, identity = tmp_path / "a.zarr", replace(IDENTITY, compress=compress)
    Plan((0, 3), ROWS, identity=identity).run(path)
    before = tree(path)
    places = [(layout.layer_array(3), 7), (layout.layer_array(0), 20), (layout.TOKEN_IDS, 20)]
    for array, chunk in places:
        damage(layout.chunk_path(path, array, chunk))
    store = ActivationStore.open(path)
    with pytest.raises(CorruptionError, match="bad chunk: layers/03/resid_post, chunk 7"):
        store.read(3)
    with pytest.raises(CorruptionError, match="chunk 7"):
        store.read(3, 115, 120)
    assert len(store.read(3, 0, 112)) == 112
    bad = store.verify()
    assert {(item.array, item.chunk) for item in bad} == set(places)
    assert "layer 3, chunk 7: " in {str(item)[:18] for item in bad}
    refill(path, bad_store=store)
    assert ActivationStore.open(path).verify() == []
    assert tree(path) == before


def refill(path: Path, bad_store: ActivationStore, wrong: float = 0) -> int:
    """What `extract --repair` does; the number of batches that had to be run."""
    batches = 0
    with StoreRepair.open(path, bad_store.identity, bad_store.verify()) as repair:
        for part in repair.passes:
            index, row = part.start.cursor or 0, part.start.rows_before
            while row < part.stop:
                start, row = row, row + BATCH_ROWS
                if repair.needs(start, row):
                    batches += 1
                    rows: dict[AnySite, Any] = {
                        layer: synthetic.activations(layer.layer, start, row) + wrong
                        for layer in repair.layers
                    }
                    ids = (f(start, row) for f in IDS)
                    repair.put(start, rows, *ids)
                index += 1
        assert repair.remaining == 0
    return batches


IDS = (synthetic.token_ids, synthetic.doc_ids, synthetic.positions)


def test_repair_runs_only_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    Plan((0,), ROWS).run(path)
    delete(layout.chunk_path(path, layout.layer_array(0), 15))
    store = ActivationStore.open(path)
    with StoreRepair.open(path, IDENTITY, store.verify()) as repair:
        (part,) = repair.passes
        assert part.start.rows_before == 160
        assert (part.stop, repair.layers) == (256, (Site(0),))
    assert refill(path, store) == 1


def test_repair_with_other_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    Plan((0,), ROWS).run(path)
    flip_row(layout.chunk_path(path, layout.layer_array(0), 2))
    damaged = tree(path)
    with pytest.raises(StateError, match="differ from the committed ones"):
        refill(path, ActivationStore.open(path), wrong=1e-3)
    assert tree(path) == damaged


def test_a_damaged_commit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    Plan((0,), ROWS).run(path)
    commit = layout.commit_path(path)
    whole = commit.read_bytes()
    for position in range(0, len(whole), 97):
        flip(commit, position)
        with pytest.raises(CorruptionError, match=r"commit\.json"):
            read_commit(path)
        commit.write_bytes(whole)


@pytest.mark.parametrize("damage", [truncate, empty, delete, flip_row])
def test_a_damaged_segment_is_refused_and_named(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "a.zarr"
    Plan((0,), ROWS).run(path)
    damage(layout.segment_path(path, layout.layer_array(0), 1))
    store = ActivationStore.open(path)
    with pytest.raises(CorruptionError, match=r"layers/00/resid_post/000001\.json"):
        store.read(0)
    assert [item.chunk for item in store.verify()] == [None]


def test_a_segment_of_another_store_is_refused(tmp_path: Path) -> None:
    for name, layer in (("a.zarr", 0), ("b.zarr", 1)):
        Plan((layer,), ROWS).run(tmp_path / name)
    theirs = layout.segment_path(tmp_path / "b.zarr", layout.layer_array(1), 0)
    ours = layout.segment_path(tmp_path / "a.zarr", layout.layer_array(0), 0)
    ours.write_bytes(theirs.read_bytes().replace(b"layers/01", b"layers/00"))
    with pytest.raises(CorruptionError, match="checksum"):
        ActivationStore.open(tmp_path / "a.zarr").read(0)
    document, _ = files.open_sealed(theirs, limit=10**6)
    ours.write_bytes(files.seal(document | {"array": "layers/00/resid_post"})[0])
    with pytest.raises(CorruptionError, match="segment differs from the committed one"):
        ActivationStore.open(tmp_path / "a.zarr").read(0)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 10**18},
        {"asked_rows": -1},
        {"identity": {"d_model": 10**9}},
        {"arrays": {}},
        {"norms": {"3": None}},
        {"growth": None},
    ],
)
def test_impossible_numbers_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "a.zarr"
    Plan((0,), ROWS).run(path)
    document, _ = files.open_sealed(layout.commit_path(path), limit=10**6)
    for name, value in change.items():
        if name == "rows":
            document["arrays"]["token_ids"]["rows"] = value
        else:
            whole = document[name] | value if name == "identity" else value
            document[name] = whole
    layout.commit_path(path).write_bytes(files.seal(document)[0])
    with pytest.raises(CorruptionError):
        read_commit(path)


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    Plan((0,), ROWS).run(path)
    document, _ = files.open_sealed(layout.commit_path(path), limit=10**6)
    layout.commit_path(path).write_bytes(files.seal(document | {"schema": 2})[0])
    with pytest.raises(StateError, match="schema 2"):
        read_commit(path)


def test_lost_metadata_is_mended_by_the_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    Plan((0,), ROWS).run(path)
    before = tree(path)
    layout.metadata_path(path, ".").unlink()
    empty(layout.metadata_path(path, layout.layer_array(0)))
    assert {item.array for item in ActivationStore.open(path).verify()} == {
        ".",
        "layers/00/resid_post",
    }
    StoreWriter.open(path, IDENTITY, [0], asked_rows=ROWS).close()
    assert tree(path) == before


@pytest.mark.parametrize("rows", [0, ROWS])
def test_metadata_that_a_kill_left_unwritten_is_no_damage(tmp_path: Path, rows: int) -> None:
    """The first commit of a store, or of a layer that is added, comes before its `zarr.json`."""
    path = tmp_path / "a.zarr"
    if rows:
        Plan((0,), rows).run(path)
    with StoreWriter.open(path, IDENTITY, [0, 3], asked_rows=ROWS):
        pass
    missing = [layout.layer_array(3), layout.layer_array(3).rpartition("/")[0]]
    for node in missing if rows else [".", "layers", *layout.ROW_ARRAYS, *missing]:
        layout.metadata_path(path, node).unlink()
    assert ActivationStore.open(path).verify() == []
    with StoreWriter.open(path, IDENTITY, [0, 3], asked_rows=ROWS):
        pass
    assert all(layout.metadata_path(path, node).is_file() for node in missing)


def test_no_store_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no activation store"):
        ActivationStore.open(tmp_path / "a.zarr")


def test_a_missing_layer_is_said_so(tmp_path: Path) -> None:
    Plan((0, 3), 64).run(tmp_path / "a.zarr")
    with pytest.raises(StateError, match="layer 1 is not in the store"):
        ActivationStore.open(tmp_path / "a.zarr").read(1)


def test_repair_of_another_identity_is_refused(tmp_path: Path) -> None:
    Plan((0,), 64).run(tmp_path / "a.zarr")
    with pytest.raises(ConflictError, match="weights_sha256"):
        StoreRepair.open(tmp_path / "a.zarr", replace(IDENTITY, weights_sha256="0"), [])


def every_call_that_fails_loses_nothing(tmp_path: Path, number: int, every: int) -> int:
    whole = Plan((0,), 70)
    whole.run(tmp_path / "whole.zarr")

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    at, failed = 1, True
    while failed:
        path = tmp_path / f"{at}.zarr"
        kills.install(kills.Failpoints(at, fail))
        failed = False
        try:
            whole.run(path)
        except DiskError as error:
            failed = True
            assert str(error.path).startswith(str(path))  # noqa: PT017 - the last one ends the loop
        kills.install(kills.Failpoints(0, fail))
        whole.run(path)
        assert tree(path) == tree(tmp_path / "whole.zarr")
        at += every
    return at


def test_a_call_that_fails_loses_nothing(tmp_path: Path) -> None:
    assert every_call_that_fails_loses_nothing(tmp_path, errno.ENOSPC, every=7) > 50


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_every_call_that_fails_loses_nothing(tmp_path: Path, number: int) -> None:
    assert every_call_that_fails_loses_nothing(tmp_path, number, every=1) > 50
