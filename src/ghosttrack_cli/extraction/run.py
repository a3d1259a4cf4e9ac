"""A loaded model and an open corpus into the store, batch by batch.

Shapes: B batch, T context, N = B * T rows, D d_model.
"""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from ghosttrack_cli.errors import (
    CorpusError,
    CorruptionError,
    HubError,
    ModelError,
    StateError,
    Stopped,
)
from ghosttrack_cli.extraction import batch_size
from ghosttrack_cli.extraction.overlap import HostRows, WriteBehind, WriteNow, host_copies
from ghosttrack_cli.extraction.parts import BATCH_SIZE, LAST_CHUNKS, TOKENS
from ghosttrack_cli.extraction.task import ExtractionResult, Task
from ghosttrack_cli.leftovers import clear_leftovers
from ghosttrack_cli.machine.signals import raise_if_stopped
from ghosttrack_cli.model.passes import residual_passes
from ghosttrack_cli.monitor import Progress
from ghosttrack_cli.quantities import format_bytes
from ghosttrack_cli.store.format.commit_record import Commit, read_commit
from ghosttrack_cli.store.write.writer import StoreWriter
from ghosttrack_cli.text.corpus import OTHER_TEXT
from ghosttrack_cli.text.usable_texts import LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from ghosttrack_cli.text.windows import TokenWindows, WindowBatch


@dataclass(frozen=True)
class Pending:
    """A batch of windows whose residual streams are on their way to the writer."""

    batch: WindowBatch
    streams: HostRows


def run(task: Task, found: Commit | None, *, overwrite: bool = False) -> ExtractionResult:
    """Make a store, or go on with the one that `found` describes.

    Raises:
        Stopped: a signal came; everything is committed.
        ConflictError: the store was made with a different model, text or other settings.
        ModelError: values that are not finite, or not enough memory.
        CorpusError: no text at all, or text that cannot be read.
        HubError: the hub was away for longer than `retry_minutes`; everything is committed.
    """
    task.model.require(task.layers)
    windows = _batch_size(task, found)
    before = _commit(task)
    while True:
        try:
            return _extract(task, windows, overwrite=overwrite)
        except (RuntimeError, MemoryError) as error:
            if not batch_size.is_out_of_memory(error):
                raise
            now = _commit(task)
            grown = now is not None and now.rows > 0 and not (overwrite and now == before)
            windows = _smaller(task, windows, error, grown=grown)


def _batch_size(task: Task, found: Commit | None) -> int:
    """As asked, as recorded, or as found by trying, in this order."""
    if task.settings.batch_size is not None:
        return task.settings.batch_size
    if found is not None:
        return found.identity.batch_size
    task.monitor.begin(BATCH_SIZE)
    guess = batch_size.first_guess(task.model, task.layers, task.context)
    return batch_size.probe(task.model, task.layers, task.context, guess, task.monitor)


def _commit(task: Task) -> Commit | None:
    """What stands now; None if nothing does, or nothing that can be read."""
    with suppress(StateError, CorruptionError):
        return read_commit(task.store)
    return None


def _smaller(task: Task, windows: int, error: Exception, *, grown: bool) -> int:
    batch_size.release_memory(task.model.device)
    if task.settings.batch_size is not None or grown:
        raise ModelError(
            f"out of memory with {windows} windows per batch (committed rows are kept): {error}",
            hint="free some memory and run the same command again, or use a smaller --batch-size "
            "in another --workspace",
        ) from error
    return batch_size.halved(windows, task.monitor)


def _extract(task: Task, windows: int, *, overwrite: bool) -> ExtractionResult:
    writer = StoreWriter.open(
        task.store,
        task.identity(windows),
        task.layers,
        asked_rows=task.settings.tokens,
        overwrite=overwrite,
        monitor=task.monitor,
    )
    with writer:
        clear_leftovers(task.store.parent, task.store.name, task.monitor.notice)
        before = writer.rows
        if not writer.replaces:
            task.monitor.accepted()
        task.monitor.begin(TOKENS)
        if not writer.finished:
            text = _fill(task, writer, windows)
            writer.seal(complete=writer.full, text=text)
        result = ExtractionResult.of(task.store, writer.commit, rows_before=before)
    _say_left_out(task, result)
    if result.short_by:
        task.monitor.notice(
            f"the corpus ended {result.short_by:,} tokens short: "
            f"{result.rows:,} of {result.asked_rows:,} are stored"
        )
    return result


def _say_left_out(task: Task, result: ExtractionResult) -> None:
    if result.new_rows:
        for sentence in LeftOut.of(result.text).sentences(task.corpus.min_characters):
            task.monitor.notice(sentence)


def _fill(task: Task, writer: StoreWriter, windows: int) -> dict[str, int] | None:
    """Run the text from the writer's cursor on until it has all rows, or the text ends.

    Gives the number of documents behind all rows, and of what was left out before them.
    """
    if writer.rows:
        task.monitor.notice(f"resuming at {writer.rows:,} of {writer.asked_rows:,} tokens")
    _report(task, writer, writer.position)
    text = task.windows(windows, writer.cursor)
    with text, _writing(task, writer) as writing:
        try:
            documents = _forward(task, writer, text, writing, rows=windows * task.context)
        except (Stopped, HubError, CorpusError) as error:
            if writer.replaces:  # by less than a commit, for which no earlier store is given up
                if isinstance(error, Stopped):
                    error.saved = False
                raise
            task.monitor.begin(LAST_CHUNKS)
            writing.drain()
            writer.seal(complete=False)
            if isinstance(error, CorpusError) and writer.rows:
                task.monitor.notice(
                    f"{writer.rows:,} tokens from before the bad text are stored and can be trained"
                    " on; once the text is changed, --overwrite starts over"
                )
            raise
        task.monitor.begin(LAST_CHUNKS)
        writing.drain()
    if not writer.position:
        raise CorpusError("no text: the corpus is empty", hint=OTHER_TEXT)
    skipped = task.corpus.skipped_files()
    return {"documents": documents, **text.left_out.counts(), **skipped} if documents else None


def _writing(task: Task, writer: StoreWriter) -> WriteBehind[Pending] | WriteNow[Pending]:
    write = partial(_write, writer)
    return WriteNow(write) if task.on_cpu else WriteBehind(write, _discard)


def _forward(
    task: Task,
    writer: StoreWriter,
    text: TokenWindows,
    writing: WriteBehind[Pending] | WriteNow[Pending],
    *,
    rows: int,
) -> int:
    """Run all batches that are needed; gives the number of documents behind the rows."""
    documents = 0
    layers, position = writer.layers, writer.position
    copies = host_copies(task.model.device, task.dtype, layers, rows, task.model.d_model)
    batches = _needed(text, writer.asked_rows - position)
    with closing(residual_passes(task.model, batches, layers)) as passes:
        for batch, streams in passes:  # layer -> (B, T, D)
            writing.put(Pending(batch, copies.copy(streams)))
            documents = 1 + int(batch.doc_ids.flat[: writer.asked_rows - position][-1])
            position += batch.input_ids.size
            _report(task, writer, position)
            if position < writer.asked_rows:
                raise_if_stopped(task.monitor.stop_signal)
    return documents


def _needed(text: TokenWindows, rows: int) -> Iterator[tuple[WindowBatch, Tensor]]:
    """The batches that hold the next `rows` rows, with their token ids (B, T)."""
    for batch in text:
        yield batch, torch.from_numpy(batch.input_ids)
        rows -= batch.input_ids.size
        if rows <= 0:
            return


def _report(task: Task, writer: StoreWriter, position: int) -> None:
    done = min(position, writer.asked_rows)
    figures = {"stored": format_bytes(writer.commit.bytes)}
    task.monitor.progress(Progress(TOKENS.name, done, writer.asked_rows, "tokens", figures))


def _write(writer: StoreWriter, pending: Pending) -> None:
    batch, streams = pending.batch, pending.streams
    streams.wait()
    try:
        writer.append(
            streams.rows,
            batch.input_ids.reshape(-1),
            batch.doc_ids.reshape(-1),
            batch.positions.reshape(-1),
            cursor=batch.cursor_before,
        )
    finally:
        streams.release()


def _discard(pending: Pending) -> None:
    pending.streams.release()
