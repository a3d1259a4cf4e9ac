"""Writes filled chunks and commits them, in a thread of its own.

Order: chunk files made durable, then segments, then `commit.json`, then the shapes in `zarr.json`.
A process killed in between leaves the commit before, and every chunk that it names as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.machine import clock
from ghosttrack_cli.machine.behind import WorkBehind
from ghosttrack_cli.site import Site
from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.format.commit_parts import SEGMENT_CHUNKS, LayerSums
from ghosttrack_cli.store.format.commit_record import Commit, write_commit
from ghosttrack_cli.store.format.norms import norm_sums
from ghosttrack_cli.store.format.segments import Segment, write_segment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.format.commit_parts import ArrayCommit, ResumePoint
    from ghosttrack_cli.store.write.streams import FilledChunk

COMMIT_BYTES = 96 * 2**20
COMMIT_CHUNKS = 8
COMMIT_SECONDS = 2.0
MAX_WAITING_BYTES = COMMIT_BYTES
"""Of queued chunks: what the disk cache, or for compressed chunks memory, has to hold."""


def most_uncommitted_bytes(job_bytes: int) -> int:
    """Bytes that a store has at most before its first commit, of jobs of so many bytes.

    Those of a commit and of the queue, each up to a job beyond its bound, and a job in progress.
    """
    return COMMIT_BYTES + MAX_WAITING_BYTES + 3 * job_bytes


@dataclass(frozen=True)
class Job:
    """Chunks that were filled at the same row, and what the commit that names them will say."""

    chunks: tuple[FilledChunk, ...]
    changes: Mapping[str, Any]
    """Fields of `Commit` to replace."""
    origins: Mapping[int, ResumePoint] = field(default_factory=dict)
    """The batch that holds the first row of a segment, by segment."""
    final: bool = False
    """Commit at once, and make the shapes durable too."""

    @property
    def bytes(self) -> int:
        """Of its chunks, before compression."""
        return sum(chunk.spec.bytes for chunk in self.chunks)

    def give_up(self) -> None:
        """Leave its chunks to the next writer."""
        for chunk in self.chunks:
            chunk.content.give_up()


class Committer:
    """A bounded queue in front of one thread that owns all writing to a store."""

    def __init__(
        self, store: Path, commit: Commit, has_rows: Callable[[], None] = lambda: None
    ) -> None:
        self.committed = commit
        """The newest durable commit."""
        self._has_rows = has_rows
        """Called after every commit that has rows."""
        self._store = store
        self._staged = commit
        self._origins = {commit.arrays[layout.TOKEN_IDS].segments: commit.origin}
        self._batch = files.WriteBatch()
        self._jobs = 0
        self._committed_at = clock.monotonic()
        self._thread = WorkBehind(
            self._run,
            Job.give_up,
            most=MAX_WAITING_BYTES,
            size=lambda job: job.bytes,
            name="store-committer",
        )

    def submit(self, job: Job) -> None:
        """Queue a job; waits while many bytes are queued, and raises what an earlier one raised."""
        self._thread.put(job)

    def wait(self) -> None:
        """Return when every queued job is done; raises what one of them raised."""
        self._thread.drain()

    def close(self, *, commit: bool = True) -> None:
        """Commit the chunks that are written, unless writing failed, and end the thread.

        Raises what a job raised, unless another call did.
        """
        try:
            if commit and not self._thread.failed:
                self._thread.put(Job((), {}, final=True))
        finally:
            try:
                self._thread.close()
            finally:
                self._batch.discard()

    def _run(self, job: Job) -> None:
        try:
            self._take(job)
        except BaseException:
            job.give_up()
            raise

    def _take(self, job: Job) -> None:
        for chunk in job.chunks:
            self._write(chunk)
        self._origins |= job.origins
        self._staged = replace(self._staged, **job.changes)
        self._jobs += bool(job.chunks)
        if job.final or self._is_due():
            self._commit(final=job.final)

    def _is_due(self) -> bool:
        # Few large commits keep the disk busy; a slow model shall not lose minutes to a kill.
        return (
            self._batch.bytes >= COMMIT_BYTES
            or self._jobs >= COMMIT_CHUNKS
            or clock.monotonic() - self._committed_at >= COMMIT_SECONDS
        )

    def _write(self, chunk: FilledChunk) -> None:
        spec = chunk.spec
        file, crc = chunk.content.finish()
        self._batch.add(file)
        before = self._staged.arrays[spec.array]
        after = before.with_chunk(chunk.index, chunk.rows, spec.rows, crc, file.bytes)
        self._staged = replace(
            self._staged,
            arrays=self._staged.arrays | {spec.array: after},
            sums=self._staged.sums | self._layer_sums(chunk),
        )

    def _layer_sums(self, chunk: FilledChunk) -> dict[AnySite, LayerSums]:
        if chunk.squares is None:
            return {}
        layer = Site.of_array(chunk.spec.array)
        full, new = self._staged.sums[layer].full, norm_sums(chunk.squares)
        whole = chunk.rows == chunk.spec.rows
        return {layer: LayerSums(full + new) if whole else LayerSums(full, new)}

    def _commit(self, *, final: bool) -> None:
        if len(self._batch):
            self._batch.finish()
        arrays = {name: self._seal(name, array) for name, array in self._staged.arrays.items()}
        origin = self._origins.get(arrays[layout.TOKEN_IDS].segments)
        self._staged = replace(self._staged, arrays=arrays, origin=origin)
        changed = self._staged != self.committed
        if changed:
            write_commit(self._store, self._staged)
        before, self.committed, self._jobs = self.committed, self._staged, 0
        self._committed_at = clock.monotonic()
        if changed:
            write_shapes(self._store, before, self._staged, durable=final)
        if self._staged.rows:
            self._has_rows()

    def _seal(self, name: str, array: ArrayCommit) -> ArrayCommit:
        chunk_rows = self._staged.chunk_rows
        while array.rows // chunk_rows >= (array.segments + 1) * SEGMENT_CHUNKS:
            origin = self._origins[array.segments] if name == layout.TOKEN_IDS else None
            head, rest = array.checksums[:SEGMENT_CHUNKS], array.checksums[SEGMENT_CHUNKS:]
            segment = Segment(name, array.segments, array.last_segment, head, origin)
            array = replace(
                array,
                segments=array.segments + 1,
                last_segment=write_segment(self._store, segment),
                checksums=rest,
            )
        return array


def write_shapes(store: Path, before: Commit, after: Commit, *, durable: bool) -> None:
    """Write the `zarr.json` of every array whose rows changed; lost ones are mended on opening."""
    rows = {name: array.rows for name, array in after.arrays.items()}
    changed = {n for n, count in rows.items() if durable or before.arrays[n].rows != count}
    for node, data in layout.metadata(after.identity, rows).items():
        if node in changed:
            files.write_bytes(layout.metadata_path(store, node), data, durable=durable)
