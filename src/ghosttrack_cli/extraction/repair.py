"""Chunks that went bad, filled again by running only the text that they came from."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch

from ghosttrack_cli.extraction.overlap import PlainCopies
from ghosttrack_cli.extraction.parts import CHUNKS, CORPUS_AGAIN, MODEL_AGAIN, VERIFYING
from ghosttrack_cli.extraction.plan import pinned
from ghosttrack_cli.extraction.task import Task
from ghosttrack_cli.machine.signals import raise_if_stopped
from ghosttrack_cli.model.passes import residual_passes
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.monitor import SILENT, Monitor, Progress
from ghosttrack_cli.store.format.commit_record import read_commit
from ghosttrack_cli.store.read.verify import verify_store
from ghosttrack_cli.store.replace import settle_store
from ghosttrack_cli.store.write.repair import RepairPass, StoreRepair
from ghosttrack_cli.text.corpus import open_corpus

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from ghosttrack_cli.model.passes import Streams
    from ghosttrack_cli.stage_request import ExtractionRequest
    from ghosttrack_cli.store.format.commit_record import Commit
    from ghosttrack_cli.store.read.verify import BadChunk
    from ghosttrack_cli.text.windows import WindowBatch

Place: TypeAlias = "tuple[int, WindowBatch]"
Passes: TypeAlias = "Generator[tuple[Place, Streams]]"


@dataclass(frozen=True)
class RepairResult:
    """The chunks that were bad and are whole again."""

    repaired: tuple[BadChunk, ...]


def repair(request: ExtractionRequest, monitor: Monitor = SILENT) -> RepairResult:
    """Read the whole store back and make bad chunks again, bit for bit as they were committed.

    Raises:
        Stopped: a signal came; what was repaired is durable.
        StateError: there is no store, or the rows made again are not those that were committed.
        ConflictError: the store was made with a different model, text or other settings.
    """
    store = request.workspace.store
    settle_store(store, monitor.notice)
    commit = read_commit(store)
    bad = verify_store(store, commit, monitor.within(VERIFYING))
    if not bad:
        monitor.notice("nothing to repair: every chunk is intact")
        return RepairResult(())
    monitor.begin(MODEL_AGAIN)
    model, cache_dir = pinned(request.model, commit), request.cache_dir
    loaded = ResidualModel.load(model, cache_dir=cache_dir, notice=monitor.notice)
    monitor.begin(CORPUS_AGAIN)
    texts = open_corpus(request.corpus, cache_dir, recorded=commit.identity.corpus)
    task = Task(loaded, texts, tuple(commit.layers), request.settings, store, monitor)
    monitor.begin(CHUNKS)
    _refill(task, commit, bad)
    return RepairResult(tuple(bad))


def _refill(task: Task, commit: Commit, bad: Sequence[BadChunk]) -> None:
    batch_size = commit.identity.batch_size
    with StoreRepair.open(task.store, task.identity(batch_size), bad) as store:
        total = store.remaining
        for stretch in store.passes:
            with closing(_passes(task, store, _batches(task, batch_size, stretch))) as passes:
                for (start, batch), streams in passes:
                    _put(task, store, start, batch, streams)
                    done = total - store.remaining
                    task.monitor.progress(Progress(CHUNKS.name, done, total, "chunks"))


def _passes(task: Task, store: StoreRepair, batches: Iterable[Place]) -> Passes:
    """Those of `batches` that have rows of bad chunks, with what bad layers need of the model."""
    needed = (
        ((start, batch), torch.from_numpy(batch.input_ids))  # (B, T)
        for start, batch in batches
        if store.needs(start, start + batch.input_ids.size)
    )
    if not store.layers:
        return ((place, {}) for place, _ in needed)
    # As the rows were made: another number of threads a pass may change their last bits.
    return residual_passes(task.model, needed, store.layers)


def _batches(task: Task, batch_size: int, stretch: RepairPass) -> Iterator[Place]:
    """The batches of a stretch of text, each with the row at which it starts."""
    text = task.windows(batch_size, stretch.start.cursor)
    row = stretch.start.rows_before
    with text:
        for batch in text:
            raise_if_stopped(task.monitor.stop_signal)
            if row >= stretch.stop:
                return
            yield row, batch
            row += batch.input_ids.size


def _put(task: Task, store: StoreRepair, start: int, batch: WindowBatch, streams: Streams) -> None:
    store.put(
        start,
        PlainCopies(task.dtype).copy(streams).rows,
        batch.input_ids.reshape(-1),
        batch.doc_ids.reshape(-1),
        batch.positions.reshape(-1),
    )
