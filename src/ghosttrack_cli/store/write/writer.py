"""The one writer of a store: takes batches of rows, commits whole chunks, goes on after a kill."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from ghosttrack_cli import files
from ghosttrack_cli.files import DiskQueue
from ghosttrack_cli.monitor import SILENT, Monitor
from ghosttrack_cli.site import in_order
from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.format.chunks import ChunkSpec
from ghosttrack_cli.store.format.commit_parts import SEGMENT_CHUNKS, ResumePoint
from ghosttrack_cli.store.format.segments import read_checksums
from ghosttrack_cli.store.replace import Earlier, settle
from ghosttrack_cli.store.write.committer import Committer, Job
from ghosttrack_cli.store.write.open_store import mend_metadata, open_commit, pass_layers
from ghosttrack_cli.store.write.streams import LayerStream, RowStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import torch

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.format.commit_record import Commit
    from ghosttrack_cli.store.format.dtypes import Array
    from ghosttrack_cli.store.format.identity import JSON, StoreIdentity


class StoreWriter:
    """Appends rows to a store; a context manager that holds the store's lock.

    A pass runs the text once: it makes new rows for every layer, or adds layers to the rows that
    are there, or both. `layers` says which layers `append` takes, `cursor` where the text goes on.
    Rows that the store has already are compared (token ids, document ids, positions) and skipped;
    rows beyond those asked for are dropped.
    """

    layers: tuple[AnySite, ...]
    """Layers that every `append` must bring."""

    def __init__(
        self,
        path: Path,
        commit: Commit,
        layers: tuple[AnySite, ...],
        earlier: Earlier,
        lock: ExitStack,
    ) -> None:
        self.path = path
        self.layers = layers
        self._earlier = earlier
        self._lock = lock
        self._rows_at_open = commit.rows
        self._grows = not commit.reached
        self._end = commit.asked_rows if self._grows else commit.rows
        self._fills = not set(layers).isdisjoint(commit.lagging)
        self._position = commit.rows_before
        self._batch = commit.resume
        self._origins: dict[int, ResumePoint] = {}
        self._committer = Committer(path, commit, earlier.give_way)
        self._disk = DiskQueue()
        self._row_streams = {name: self._row_stream(commit, name) for name in layout.ROW_ARRAYS}
        self._layer_streams = {layer: self._layer_stream(commit, layer) for layer in layers}
        self._usable = True

    @classmethod
    def open(
        cls,
        path: Path,
        identity: StoreIdentity,
        layers: Iterable[AnySite],
        *,
        asked_rows: int,
        overwrite: bool = False,
        monitor: Monitor = SILENT,
    ) -> StoreWriter:
        """Create the store in the folder `path`, or continue it.

        A store with fewer than `asked_rows` rows grows, in all its layers and in `layers`; a store
        that has them gets those of `layers` that it lacks. With `overwrite` the store that is there
        stands until the first commit with rows, which `monitor` accepts, and is back if none comes.

        Raises:
            LockedError: another process writes to it.
            ConflictError: it was made with another identity; lists the fields that differ.
            StateError: the folder holds something else, or a store of a newer version.
            CorruptionError: the commit is damaged.
        """
        lock = ExitStack()
        lock.enter_context(files.exclusive_lock(layout.lock_path(path), purpose="extract"))
        with lock:
            earlier = lock.enter_context(Earlier(path, monitor))
            if overwrite:
                earlier.set_aside()
            else:
                settle(path, monitor.notice)
            layers = in_order(layers)
            commit = open_commit(path, identity, layers, asked_rows)
            mend_metadata(path, commit)
            return cls(path, commit, pass_layers(commit, layers), earlier, lock.pop_all())

    @property
    def commit(self) -> Commit:
        """The newest durable commit."""
        return self._committer.committed

    @property
    def rows(self) -> int:
        """Committed rows."""
        return self.commit.rows

    @property
    def asked_rows(self) -> int:
        """Rows that the store shall have."""
        return self.commit.asked_rows

    @property
    def cursor(self) -> JSON:
        """The cursor of the batch to append first; None at the start of the corpus."""
        return self.commit.cursor

    @property
    def replaces(self) -> bool:
        """Whether there are no committed rows yet, and an earlier store that waits for them."""
        return self._earlier.waits

    @property
    def position(self) -> int:
        """Row at which the next appended batch starts, counting rows that are skipped."""
        return self._position

    @property
    def full(self) -> bool:
        """Whether all rows of this pass were appended: stop and `seal(complete=True)`."""
        return self.finished or self._position >= self._end

    @property
    def finished(self) -> bool:
        """Whether there is nothing to do: all rows asked for are committed in every layer asked."""
        return self.commit.reached and not self.layers

    def append(
        self,
        activations: Mapping[AnySite, torch.Tensor | Array],
        token_ids: Array,
        doc_ids: Array,
        positions: Array,
        *,
        cursor: JSON,
    ) -> None:
        """Add N rows: activations (N, D) for each of `layers`, and N ids, documents, positions.

        `cursor` is where the text of this batch starts. Returns before the rows are durable: `rows`
        says how many are. Waits while the disk is behind.

        Raises:
            ModelError: a value is not finite, or too large for the store's dtype; names layer,
                document and row. Nothing of this batch's chunk is committed.
            ConflictError: token ids, documents or positions differ from rows that the store has.
            DiskError: writing failed, now or for an earlier batch.
        """
        assert self._usable
        self._usable = False
        self._check_shapes(activations, token_ids, doc_ids, positions)
        start, self._position = self._position, self._position + len(token_ids)
        self._batch = ResumePoint(cursor, start)
        stop = min(self._position, self._end)
        self._note_origins(start, stop)
        arrays = {layout.TOKEN_IDS: token_ids, layout.DOC_IDS: doc_ids, layout.POSITIONS: positions}
        for first, last in _chunk_spans(start, stop, self.commit.chunk_rows):
            here = slice(first - start, last - start)
            for name, stream in self._row_streams.items():
                stream.put(first, arrays[name][here])
            for layer, layer_stream in self._layer_streams.items():
                layer_stream.put_layer(first, activations[layer][here], doc_ids[here])
            if last % self.commit.chunk_rows == 0:
                self._submit(self._resume_changes(last, self._batch))
        self._usable = True

    def seal(
        self, *, complete: bool, cursor: JSON = None, text: dict[str, int] | None = None
    ) -> None:
        """Write the partial last chunk and commit everything that was appended.

        `cursor` is where the batch after the last one would start; without it, the next run begins
        with the last batch again. `complete` holds only where all asked rows were appended. `text`
        counts the documents behind all rows and what was left out.

        Raises:
            DiskError: writing failed.
        """
        assert self._usable
        self._usable = False
        point = self._batch
        if cursor is not None and self.commit.rows_before <= self._position <= self._end:
            point = ResumePoint(cursor, self._position)
        changes = self._resume_changes(min(self._position, self._end), point)
        if self._grows:
            changes["reached"] = complete and self.full
            changes |= {} if text is None else {"text": text}
        self._submit(changes, final=True)
        self._committer.wait()

    def close(self, *, failed: bool = False) -> None:
        """Commit whole chunks that are still on their way, and free the lock.

        Where it `failed` before the first commit, an earlier store is worth more than those.
        """
        with self._lock:
            for stream in self._streams:
                stream.give_up()
            try:
                self._committer.close(commit=not (failed and self.replaces))
            finally:
                self._disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(failed=kind is not None)

    @property
    def _streams(self) -> list[RowStream]:
        return [*self._row_streams.values(), *self._layer_streams.values()]

    def _row_stream(self, commit: Commit, name: str) -> RowStream:
        spec, array = ChunkSpec.of(commit.identity, name), commit.arrays[name]
        return RowStream(self.path, spec, array.rows, read_checksums(self.path, name, array))

    def _layer_stream(self, commit: Commit, layer: AnySite) -> LayerStream:
        name = layout.layer_array(layer)
        spec, array = ChunkSpec.of(commit.identity, name), commit.arrays[name]
        checksums = read_checksums(self.path, name, array)
        return LayerStream(
            self.path,
            spec,
            array.rows,
            checksums,
            self._disk,
            layer=layer,
            computed_in=commit.identity.extra.get("model_dtype"),
        )

    def _check_shapes(
        self,
        activations: Mapping[AnySite, torch.Tensor | Array],
        token_ids: Array,
        doc_ids: Array,
        positions: Array,
    ) -> None:
        n = len(token_ids)
        assert n > 0
        assert len(doc_ids) == len(positions) == n
        for layer in self.layers:
            assert tuple(activations[layer].shape) == (n, self.commit.d_model), layer

    def _note_origins(self, start: int, stop: int) -> None:
        segment_rows = SEGMENT_CHUNKS * self.commit.chunk_rows
        for segment in range(-(-start // segment_rows), -(-stop // segment_rows)):
            if stop > self._rows_at_open:
                self._origins[segment] = self._batch

    def _resume_changes(self, row: int, point: ResumePoint) -> dict[str, Any]:
        if row < self._rows_at_open:
            return {"filling": point} if self._fills else {}
        return {"filling": None} | ({"growth": point} if self._grows else {})

    def _submit(self, changes: dict[str, Any], *, final: bool = False) -> None:
        filled = tuple(chunk for chunk in (stream.take() for stream in self._streams) if chunk)
        origins, self._origins = self._origins, {}
        self._committer.submit(Job(filled, changes, origins, final))


def _chunk_spans(start: int, stop: int, chunk_rows: int) -> Iterator[tuple[int, int]]:
    while start < stop:
        last = min(stop, (start // chunk_rows + 1) * chunk_rows)
        yield start, last
        start = last
