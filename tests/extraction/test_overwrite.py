"""`extract --overwrite`: the earlier store stands until the new one has rows, whatever fails."""

from __future__ import annotations

import errno
import shutil
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.extraction.forks import request
from tests.fault_table import fault
from tests.forks import Forks
from tests.store import kills
from tests.store.kills import (
    REMOVE,
    RENAME,
    RENAMED,
    WRITE,
    Failing,
    Failpoints,
    Kill,
    found_bad,
)
from tests.support.files import tree

from ghosttrack_cli import files
from ghosttrack_cli.errors import DiskError, HubError, LockedError, ModelError, Stopped
from ghosttrack_cli.extraction.plan import plan
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.status.gather import gather
from ghosttrack_cli.store.format.commit_record import read_commit, standing
from ghosttrack_cli.store.format.layout import previous_path
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.text.windows import TokenWindows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ghosttrack_cli.site import AnySite

OLD: dict[str, Any] = {"layers": "0,2", "tokens": 2000, "batch_size": 16}
NEW: dict[str, Any] = {"layers": "1", "tokens": 1500, "batch_size": 8}
MOST = 6
"""Kills at each kind of call."""
KEPT = "the new store has no rows: the earlier one, 2,000 rows, is kept"


@pytest.fixture
def old(extraction: Any) -> Any:
    """An extraction whose store has 2,000 rows of two layers."""
    extraction(**OLD)
    extraction.notices.clear()
    return extraction


@pytest.fixture
def no_fsync() -> Iterator[None]:
    """Files are written without waiting for the disk."""
    kills.install(Failpoints(0, kills.never))
    yield
    kills.uninstall()


def rows_of(extraction: Any) -> tuple[int, tuple[AnySite, ...]]:
    commit = read_commit(extraction.workspace.store)
    return commit.rows, tuple(commit.layers)


def is_as_before(extraction: Any, before: dict[str, bytes]) -> None:
    """The old store is in its place, byte for byte, and nothing lies beside it."""
    store = extraction.workspace.store
    assert tree(store) == before
    assert not previous_path(store).exists()
    assert found_bad(store) == []
    extraction.notices.clear()
    assert extraction(**OLD).new_rows == 0
    assert gather(extraction.workspace).reclaimable_bytes == 0


def test_a_disk_that_fails_at_any_call_leaves_the_old_store_or_rows_of_the_new(
    old: Any, no_fsync: None, tmp_path: Path
) -> None:
    store, kept = old.workspace.store, tmp_path / "kept"
    shutil.copytree(store, kept)
    before = tree(store)
    at, failed, back = 1, True, 0
    while failed:
        shutil.rmtree(old.workspace.root)
        old.workspace.root.mkdir()
        shutil.copytree(kept, store)
        failing = Failing(at, errno.EIO, for_good=bool(at % 2))
        kills.install(failing)
        if at == 1:
            with pytest.raises(DiskError, match="Input/output error"):
                old(**NEW, overwrite=True)
        else:
            with suppress(DiskError):
                old(**NEW, overwrite=True)
        kills.install(Failpoints(0, kills.never))
        failed = failing.failed
        assert found_bad(store) == [], at
        if rows_of(old) == (2000, (0, 2)):
            back += 1
            assert tree(standing(store)) == before, at
            assert gather(old.workspace).store is not None
            assert old(**OLD).new_rows == 0, at
            assert tree(store) == before, at
        else:
            assert rows_of(old)[1] == (1,), at
            old(**NEW)
        assert not previous_path(store).exists(), at
        at += 13
    assert back >= 2
    assert rows_of(old) == (1500, (1,))


def test_values_that_are_not_finite(old: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = tree(old.workspace.store), ResidualModel.residuals

    def broken(model: ResidualModel, ids: torch.Tensor, layers: Any) -> Any:
        return {layer: rows * torch.nan for layer, rows in real(model, ids, layers).items()}

    with monkeypatch.context() as patch:
        patch.setattr(ResidualModel, "residuals", broken)
        with pytest.raises(ModelError, match="not finite"):
            old(**NEW, overwrite=True)
    assert KEPT in old.notices
    is_as_before(old, before)


@pytest.mark.parametrize("asked", [{}, {"batch_size": 8}])
def test_memory_that_ends(
    old: Any,
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, int],
) -> None:
    before, real = tree(old.workspace.store), ResidualModel.residuals
    calls: list[int] = []

    def full(model: ResidualModel, ids: torch.Tensor, layers: Any) -> Any:
        calls.append(len(ids))
        if len(calls) > 1 and len(ids) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, ids, layers)

    with monkeypatch.context() as patch:
        patch.setattr(ResidualModel, "residuals", full)
        if asked:
            with pytest.raises(ModelError, match="out of memory with 8 windows"):
                old(layers="1", tokens=1500, overwrite=True, **asked)
        else:
            assert old(layers="1", tokens=1500, overwrite=True).batch_size == 4
    if asked:
        is_as_before(old, before)
    else:
        assert rows_of(old) == (1500, (1,))


def test_a_signal_before_the_first_commit(old: Any) -> None:
    before = tree(old.workspace.store)
    with pytest.raises(Stopped) as caught:
        old(**NEW, overwrite=True, stop_signal=lambda: signal.SIGINT)
    assert not caught.value.saved
    assert KEPT in old.notices
    is_as_before(old, before)


def test_a_hub_that_goes_away_before_the_first_commit(
    old: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = tree(old.workspace.store), TokenWindows.__iter__

    def lost(windows: TokenWindows) -> Iterator[Any]:
        yield next(iter(real(windows)))
        raise HubError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(TokenWindows, "__iter__", lost)
        with pytest.raises(HubError):
            old(**NEW, overwrite=True)
    is_as_before(old, before)


def test_the_old_store_is_read_until_the_new_one_has_rows(
    old: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real = old.workspace.store, ResidualModel.residuals
    seen: list[int] = []

    def look(model: ResidualModel, ids: torch.Tensor, layers: Any) -> Any:
        status = gather(old.workspace)
        assert status.store is not None
        assert status.store.being_replaced
        assert not status.problems
        seen.append(status.store.rows)
        assert ActivationStore.open(store).verify() == []
        with pytest.raises(LockedError, match="extract"), ActivationStore.open(store).held("train"):
            pass
        return real(model, ids, layers)

    monkeypatch.setattr(ResidualModel, "residuals", look)
    old(**NEW, overwrite=True)
    assert set(seen) == {2000}
    assert rows_of(old) == (1500, (1,))
    assert [path.name for path in store.parent.glob("*activations*") if path.is_dir()] == [
        store.name
    ]


def test_whoever_reads_the_old_store_keeps_it(old: Any) -> None:
    with (
        ActivationStore.open(old.workspace.store).held("training layer 0"),
        pytest.raises(LockedError, match="training layer 0"),
    ):
        old(**NEW, overwrite=True)
    assert rows_of(old) == (2000, (0, 2))


def test_a_damaged_store_can_be_replaced(old: Any) -> None:
    commit = old.workspace.store / "commit.json"
    commit.write_bytes(commit.read_bytes()[:-9])
    planned = plan(old.request(**NEW, overwrite=True))
    assert planned.replaces is not None
    assert planned.replaces.rows == 0
    assert planned.replaces.bytes > 100_000
    assert old(**NEW, overwrite=True).rows == 1500


def test_the_plan_says_what_is_deleted_and_what_has_to_fit_beside_it(
    old: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = read_commit(old.workspace.store).bytes
    free = plan(old.request(**NEW)).bytes_free
    planned = plan(old.request(**NEW, overwrite=True))
    assert planned.replaces is not None
    assert (planned.replaces.rows, planned.replaces.layers) == (2000, (0, 2))
    assert planned.replaces.bytes == stored
    assert planned.bytes_free == pytest.approx(free, rel=0.01)
    assert planned.bytes_beside == planned.bytes_needed
    monkeypatch.setattr(files, "free_bytes", lambda _: planned.bytes_needed - 1)
    with pytest.raises(DiskError, match="must fit beside the earlier store"):
        old(**NEW, overwrite=True)
    monkeypatch.setattr(files, "free_bytes", lambda _: planned.bytes_needed)
    assert old(**NEW, overwrite=True).rows == 1500


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks("tests.extraction.forks") as process:
        yield process


def kill_one(forks: Forks, extraction: Any, kill: Kill) -> bool:
    """Kill an overwrite; whether the old store stands, which the next extraction puts back."""
    store = extraction.workspace.store
    asked = request(extraction.settings(**NEW)) | {"overwrite": True}
    assert forks.kill(asked, kill, extraction.workspace.root), kill
    rows, layers = rows_of(extraction)
    assert found_bad(store) == [], kill
    status = gather(extraction.workspace)
    assert status.store is not None
    assert (status.store.rows, status.problems) == (rows, ()), kill
    stands = (rows, layers) == (2000, (0, 2))
    assert stands or layers == (1,), kill
    if stands:
        extraction(**OLD)
    else:
        forks.run(request(extraction.settings(**NEW)))
    assert rows_of(extraction) == ((2000, (0, 2)) if stands else (1500, (1,))), kill
    assert gather(extraction.workspace).reclaimable_bytes == 0, kill
    assert not previous_path(store).exists()
    return stands


@pytest.mark.parametrize(
    ("kill", "stands"),
    [
        (Kill(1, RENAME), True),  # out of the way
        (Kill(3, WRITE), True),  # the new store's first files
        (Kill(1, REMOVE), False),  # the old one, once there are rows
    ],
)
def test_a_kill(forks: Forks, old: Any, kill: Kill, stands: bool) -> None:
    assert kill_one(forks, old, kill) == stands


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("call", [WRITE, RENAME, RENAMED, REMOVE])
def test_many_kills(
    forks: Forks, old: Any, call: str, record_property: Callable[[str, object], None]
) -> None:
    asked = request(old.settings(**NEW)) | {"overwrite": True}
    count = forks.run(asked).calls[call]
    points = range(1, count + 1, max(1, count // MOST))
    for at in points:
        old(**OLD, overwrite=True)
        kill_one(forks, old, Kill(at, call))
    record_property("fault", fault(f"kill -9 {call}: extract --overwrite", len(points)))
    assert points
