"""Bad chunks filled again from the text that they came from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, StateError
from ghosttrack_cli.site import Site
from ghosttrack_cli.store.format import chunks, layout
from ghosttrack_cli.store.format.chunks import ChunkSpec
from ghosttrack_cli.store.format.commit_parts import SEGMENT_CHUNKS, START, ResumePoint
from ghosttrack_cli.store.format.commit_record import read_commit
from ghosttrack_cli.store.format.dtypes import to_numpy
from ghosttrack_cli.store.format.identity import check_identity
from ghosttrack_cli.store.format.segments import read_checksums, read_segments
from ghosttrack_cli.store.write.growing_array import start_chunk
from ghosttrack_cli.store.write.open_store import mend_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import torch

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.format.commit_record import Commit
    from ghosttrack_cli.store.format.dtypes import Array
    from ghosttrack_cli.store.format.identity import StoreIdentity
    from ghosttrack_cli.store.read.verify import BadChunk


@dataclass(frozen=True)
class RepairPass:
    """A stretch of text to run again: from the batch at `start` until row `stop`."""

    start: ResumePoint
    stop: int


class _Refill:
    """A bad chunk on its way back."""

    def __init__(self, spec: ChunkSpec, index: int, last: int) -> None:
        self.spec, self.index = spec, index
        self.first, self.last = index * spec.rows, last
        self.missing = last - self.first
        self._values: Array | None = None

    @property
    def values(self) -> Array:
        if self._values is None:
            self._values = self.spec.empty(self.last - self.first)
        return self._values


class StoreRepair:
    """Replaces bad chunks, each checked against its committed checksum; holds the store's lock.

    For each of `passes`, run the text from `start.cursor`; for each batch of rows that `needs` says
    is needed, `put` the activations of `layers`.
    """

    def __init__(
        self, path: Path, commit: Commit, bad: Iterable[BadChunk], lock: ExitStack
    ) -> None:
        self.path, self.commit = path, commit
        self._lock = lock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-repair")
        self._checksums = {
            name: read_checksums(path, name, array) for name, array in commit.arrays.items()
        }
        self._refills = [
            self._refill(item.array, item.chunk) for item in bad if item.chunk is not None
        ]

    @classmethod
    def open(cls, path: Path, identity: StoreIdentity, bad: Iterable[BadChunk]) -> StoreRepair:
        """Lock the store in the folder `path`, mend its `zarr.json` files, and plan the repair.

        Raises:
            LockedError: another process writes to it.
            ConflictError: it was made with another identity.
            StateError: checksums are lost, so that nothing could be checked.
        """
        lock = ExitStack()
        lock.enter_context(files.exclusive_lock(layout.lock_path(path), purpose="repair"))
        with lock:
            commit = read_commit(path)
            check_identity(commit.identity, identity, where=path)
            mend_metadata(path, commit)
            try:
                return cls(path, commit, bad, lock.pop_all())
            except CorruptionError as error:
                raise StateError(
                    f"cannot repair: {error.what}", hint="ghosttrack extract --overwrite"
                ) from error

    @property
    def remaining(self) -> int:
        """Chunks that are still to be replaced."""
        return len(self._refills)

    @property
    def layers(self) -> tuple[Site, ...]:
        """Layers with chunks that are still to be replaced."""
        arrays = {refill.spec.array for refill in self._refills} - set(layout.ROW_ARRAYS)
        return tuple(sorted(Site.of_array(array) for array in arrays))

    @property
    def passes(self) -> list[RepairPass]:
        """What to run again: for each segment with bad chunks, from its recorded cursor on."""
        stops: dict[int, int] = {}
        for refill in self._refills:
            segment = refill.index // SEGMENT_CHUNKS
            stops[segment] = max(stops.get(segment, 0), refill.last)
        origins = self._origins()
        return [RepairPass(origins[segment] or START, stops[segment]) for segment in sorted(stops)]

    def needs(self, start: int, stop: int) -> bool:
        """Whether a bad chunk has rows between `start` and `stop`."""
        return any(refill.first < stop and start < refill.last for refill in self._refills)

    def put(
        self,
        start: int,
        activations: Mapping[AnySite, torch.Tensor | Array],
        token_ids: Array,
        doc_ids: Array,
        positions: Array,
    ) -> None:
        """Take the rows of a batch that begins at row `start`; a chunk that is full is written.

        Raises:
            StateError: the rows are not those that were committed.
        """
        values = {layout.TOKEN_IDS: token_ids, layout.DOC_IDS: doc_ids, layout.POSITIONS: positions}
        by_array = values | {layout.layer_array(k): rows for k, rows in activations.items()}
        for refill in self._refills:
            first, last = max(start, refill.first), min(start + len(token_ids), refill.last)
            if first >= last:
                continue
            rows = by_array[refill.spec.array][first - start : last - start]
            refill.values[first - refill.first : last - refill.first] = to_numpy(
                rows, refill.spec.dtype
            )
            refill.missing -= last - first
            if not refill.missing:
                self.replace_chunk(refill.spec.array, refill.index, refill.values)
        self._refills = [refill for refill in self._refills if refill.missing]

    def replace_chunk(self, array: str | int, index: int, rows: Array) -> None:
        """Write a chunk of a layer, or of a named array, if its rows are those that were committed.

        Raises:
            StateError: they are not; the file stays as it is.
        """
        name = layout.layer_array(array) if isinstance(array, int) else array
        spec = ChunkSpec.of(self.commit.identity, name)
        rows = np.ascontiguousarray(rows)
        if chunks.checksum(rows) != self._checksums[name][index]:
            raise StateError(
                f"the rebuilt rows differ from the committed ones: {name}, chunk {index}",
                hint="different software, hardware or thread counts can change the last bits: "
                "repair where the store was made, or run ghosttrack extract --overwrite",
            )
        self._thread.submit(self._write, spec, index, rows).result()

    def _write(self, spec: ChunkSpec, index: int, rows: Array) -> None:
        batch = files.WriteBatch()
        try:
            chunk = start_chunk(self.path, spec, index, None)
            chunk.write(rows)
            file, _ = chunk.finish()
            batch.add(file)
            batch.finish()
        finally:
            batch.discard()

    def _refill(self, array: str, index: int) -> _Refill:
        spec = ChunkSpec.of(self.commit.identity, array)
        return _Refill(spec, index, min(self.commit.arrays[array].rows, (index + 1) * spec.rows))

    def _origins(self) -> list[ResumePoint | None]:
        array = self.commit.arrays[layout.TOKEN_IDS]
        segments = read_segments(self.path, layout.TOKEN_IDS, array)
        return [segment.origin for segment in segments] + [self.commit.origin]

    def close(self) -> None:
        """Free the lock."""
        with self._lock:
            self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
