"""Any sequence of what can happen to a store, against rows that are a function of their number."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.store import kills, synthetic
from tests.store.synthetic import BATCH_ROWS, IDENTITY, Plan

from ghosttrack_cli.errors import LockedError
from ghosttrack_cli.site import AnySite, Site
from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.format.commit_record import has_store, read_commit
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.store.write.repair import StoreRepair
from ghosttrack_cli.store.write.writer import StoreWriter

if TYPE_CHECKING:
    from collections.abc import Callable

LAYERS = (0, 1, 2)


class ProcessKilledError(BaseException):
    """What the machine raises inside a write, and in every write after it."""


class StoreMachine(RuleBasedStateMachine):
    """Append, commit, crash, reopen, corrupt, verify, second writer, add layer, extend."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-machine-"))
        self.path = self.folder / "a.zarr"
        self.writer: StoreWriter | None = None
        self.index = 0
        self.acknowledged: dict[AnySite, int] = {}
        self.layers: tuple[int, ...] = ()
        synthetic.use_small_segments(2)
        self.fail_at(0, kills.never)

    def fail_at(self, at: int, act: Callable[[], None]) -> None:
        kills.install(kills.Failpoints(at, act))

    def teardown(self) -> None:
        if self.writer is not None:
            self.writer.close()
        kills.uninstall()
        synthetic.use_small_segments(64)
        shutil.rmtree(self.folder)

    @initialize(layer=st.sampled_from(LAYERS), asked=st.integers(1, 200))
    def begin(self, layer: int, asked: int) -> None:
        self.open((layer,), asked)

    def open(self, layers: tuple[int, ...], asked: int) -> None:
        self.writer = StoreWriter.open(self.path, IDENTITY, layers, asked_rows=asked)
        self.index = self.writer.cursor or 0
        self.layers = tuple(sorted({*self.layers, *layers}))

    @precondition(lambda self: self.writer is None)
    @rule(more=st.integers(0, 120), layers=st.sets(st.sampled_from(LAYERS), min_size=1))
    def reopen(self, more: int, layers: set[int]) -> None:
        asked = max(1, self.rows() + more)
        self.open(tuple(sorted(layers)), asked)

    @precondition(lambda self: self.writer is not None and not self.writer.full)
    @rule(batches=st.integers(1, 4))
    def append(self, batches: int) -> None:
        assert self.writer is not None
        for _ in range(batches):
            if not self.writer.full:
                start = self.index * BATCH_ROWS
                Plan().append(self.writer, start, start + BATCH_ROWS, self.index)
                self.index += 1

    @precondition(lambda self: self.writer is not None)
    @rule()
    def seal(self) -> None:
        assert self.writer is not None
        if not self.writer.finished:
            position = min(self.writer.position, self.writer.asked_rows)
            self.writer.seal(complete=True, cursor=self.index)
            done = self.writer.commit
            assert done.rows >= position or done.lagging
            assert all(
                done.layers[layer] >= min(position, done.rows) for layer in self.writer.layers
            )
        self.writer.close()
        self.writer = None
        self.note()

    @precondition(lambda self: self.writer is not None)
    @rule()
    def stop_without_sealing(self) -> None:
        assert self.writer is not None
        self.writer.close()
        self.writer = None
        self.note()

    @precondition(lambda self: self.writer is not None and not self.writer.full)
    @rule(at=st.integers(1, 60))
    def crash(self, at: int) -> None:
        assert self.writer is not None

        def kill() -> None:
            self.fail_at(1, kill)
            raise ProcessKilledError

        self.fail_at(at, kill)
        try:
            self.append(4)
            self.writer.seal(complete=True, cursor=self.index)
            self.writer.close()
        except ProcessKilledError:
            self.bury(self.writer)
        self.fail_at(0, kills.never)
        self.writer = None

    def bury(self, writer: StoreWriter) -> None:
        with suppress(ProcessKilledError):
            writer.close()

    @precondition(lambda self: self.writer is not None)
    @rule()
    def second_writer(self) -> None:
        with pytest.raises(LockedError):
            StoreWriter.open(self.path, IDENTITY, [0], asked_rows=10)

    @precondition(lambda self: self.writer is None and self.rows() > 0)
    @rule(data=st.data())
    def corrupt_and_repair(self, data: st.DataObject) -> None:
        store = ActivationStore.open(self.path)
        array = data.draw(st.sampled_from(sorted(store.commit.arrays)))
        rows = store.commit.arrays[array].rows
        if not rows:
            return
        chunk = data.draw(st.integers(0, (rows - 1) // IDENTITY.chunk_rows))
        file = layout.chunk_path(self.path, array, chunk)
        content = bytearray(file.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        file.write_bytes(content)
        (bad,) = store.verify()
        assert (bad.array, bad.chunk) == (array, chunk)
        with StoreRepair.open(self.path, IDENTITY, [bad]) as repair:
            for part in repair.passes:
                for row in range(part.start.rows_before, part.stop, BATCH_ROWS):
                    stop = row + BATCH_ROWS
                    rows_of: dict[AnySite, Any] = {
                        k: synthetic.activations(k.layer, row, stop) for k in repair.layers
                    }
                    ids = (synthetic.token_ids, synthetic.doc_ids, synthetic.positions)
                    repair.put(row, rows_of, *(make(row, stop) for make in ids))

    def rows(self) -> int:
        return read_commit(self.path).rows if has_store(self.path) else 0

    def note(self) -> None:
        self.acknowledged = read_commit(self.path).layers

    @invariant()
    def committed_rows_are_right(self) -> None:
        if self.writer is not None or not has_store(self.path):
            return
        store = ActivationStore.open(self.path)
        commit = store.commit
        assert all(commit.layers[k] >= rows for k, rows in self.acknowledged.items())
        assert np.array_equal(store.token_ids(), synthetic.token_ids(0, commit.rows))
        for layer in store.layers:
            assert np.array_equal(
                store.read(layer), synthetic.activations(Site.of(layer).layer, 0, commit.rows)
            )
            assert store.statistics(layer).rows == commit.rows
        assert store.verify() == []


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
