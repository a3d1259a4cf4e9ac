"""A store as it was committed, read back and checked chunk by chunk.

D d_model.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.arguments import as_path
from ghosttrack_cli.errors import StateError, UsageError
from ghosttrack_cli.machine.ahead import workers
from ghosttrack_cli.monitor import SILENT, Monitor
from ghosttrack_cli.store.format import chunks, layout
from ghosttrack_cli.store.format.chunks import ChunkSpec
from ghosttrack_cli.store.format.commit_record import read_commit, read_folder, standing
from ghosttrack_cli.store.format.segments import read_checksums
from ghosttrack_cli.store.read.verify import BadChunk, verify_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    import numpy as np

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.format.commit_record import Commit
    from ghosttrack_cli.store.format.dtypes import Array
    from ghosttrack_cli.store.format.identity import StoreIdentity
    from ghosttrack_cli.store.format.statistics import NormSums

READ_THREADS = 2


class ActivationStore:
    """A read-only view of one commit; rows that are added later do not appear in it.

    Args:
        path: the folder of the store.
        commit: what it holds; `ActivationStore.open` reads it.
        folder: where the files lie, if that is not `path`.

    Example:
        >>> store = ActivationStore.open("run/activations.zarr")
        >>> store.rows, store.layers, store.d_model
        (1000000, (0, 6, 11), 768)
        >>> rows = store.read(6, 0, 4096)  # (4096, D), in units of the residual stream
    """

    def __init__(self, path: Path, commit: Commit, folder: Path | None = None) -> None:
        self.path = path
        self._folder = folder or path
        """Where it stands: beside `path` while another one that has no rows yet replaces it."""
        self.commit = commit
        self._checksums: dict[str, list[int]] = {}

    @classmethod
    def open(cls, path: Path | str) -> ActivationStore:
        """Open a store at its newest commit.

        Args:
            path: the folder, activations.zarr of a workspace.

        Raises:
            UsageError: no path.
            StateError: there is none, or it is of another version.
            CorruptionError: the commit is damaged.
        """
        asked = as_path(path, "path")
        folder = standing(asked)
        return cls(asked, read_folder(folder), folder)

    @contextmanager
    def held(self, purpose: str) -> Iterator[None]:
        """Keep the store from being deleted meanwhile; others may read it, and it may grow.

        Raises:
            LockedError: another process is deleting it.
            StateError: it was replaced since it was opened.
        """
        with files.shared_lock(files.readers_lock(self.path), purpose=purpose):
            now = read_commit(self.path)
            moved = standing(self.path) != self._folder
            if moved or now.identity != self.identity or now.rows < self.rows:
                raise StateError(
                    f"the store was replaced meanwhile: {self.path}", hint="run the command again"
                )
            yield

    @property
    def identity(self) -> StoreIdentity:
        """What the store was made with."""
        return self.commit.identity

    @property
    def layers(self) -> tuple[AnySite, ...]:
        """Layers that have all `rows`; one that is still being added is not among them."""
        lagging = self.commit.lagging
        return tuple(layer for layer in self.commit.layers if layer not in lagging)

    @property
    def rows(self) -> int:
        """Committed rows of each of `layers`."""
        return self.commit.rows

    @property
    def d_model(self) -> int:
        """Width of a row."""
        return self.identity.d_model

    @property
    def dtype(self) -> np.dtype[Any]:
        """What `read` returns: float32, float16 or `ml_dtypes.bfloat16`."""
        return ChunkSpec.of(self.identity, layout.layer_array(0)).dtype

    @property
    def chunk_rows(self) -> int:
        """Rows of a full chunk."""
        return self.identity.chunk_rows

    @property
    def chunks(self) -> int:
        """Chunks of each array."""
        return -(-self.rows // self.chunk_rows)

    @property
    def complete(self) -> bool:
        """Whether every layer has as many rows as were asked for."""
        return self.commit.complete

    def token_ids(self) -> Array:
        """The token of each row, int32 (rows,)."""
        return self._read(layout.TOKEN_IDS, 0, self.rows)

    def doc_ids(self) -> Array:
        """The document of each row, int64 (rows,)."""
        return self._read(layout.DOC_IDS, 0, self.rows)

    def positions(self) -> Array:
        """The position of each row in its window, int32 (rows,)."""
        return self._read(layout.POSITIONS, 0, self.rows)

    def read(self, layer: AnySite, start: int = 0, stop: int | None = None) -> Array:
        """Rows of a layer, every chunk checked.

        Args:
            layer: one of `layers`.
            start: the first row.
            stop: the row after the last one; default: all.

        Returns:
            (stop - start, D) in the store's `dtype`, in units of the residual stream.

        Raises:
            UsageError: rows that the store does not have.
            StateError: the store does not have that layer.
            CorruptionError: a chunk is missing or not what was committed; names layer and chunk.
        """
        stop = self.rows if stop is None else stop
        if not 0 <= start <= stop <= self.rows:
            raise UsageError(f"rows out of range: {start} to {stop}, must be 0 to {self.rows}")
        return self._read(self._array(layer), start, stop)

    def chunk(self, layer: AnySite, index: int) -> Array:
        """One chunk of a layer, (chunk_rows or fewer, D), checked."""
        out = ChunkSpec.of(self.identity, self._array(layer)).empty(self.committed_rows(index))
        self.read_chunk_into(layer, index, out)
        return out

    def read_chunk_into(self, layer: AnySite, index: int, out: Array) -> None:
        """Fill `out` (committed_rows(index), D), contiguous, with a chunk of a layer, checked."""
        self._read_chunk(self._array(layer), index, out)

    def statistics(self, layer: AnySite) -> NormSums:
        """Norm sums of a layer from the commit: `median_norm`, `mean_square_norm`, `max_norm`."""
        self._array(layer)
        return self.commit.statistics[layer]

    def verify(self, monitor: Monitor = SILENT) -> list[BadChunk]:
        """Read everything back and name what is not as it was committed, layers being added too.

        Raises:
            Stopped: a signal came.
        """
        return verify_store(self._folder, self.commit, monitor)

    def checksums(self, array: str) -> list[int]:
        """The committed crc32c of every chunk of an array."""
        if array not in self._checksums:
            commit = self.commit.arrays[array]
            self._checksums[array] = read_checksums(self._folder, array, commit)
        return self._checksums[array]

    def _array(self, layer: AnySite) -> str:
        if layer not in self.layers:
            there = ", ".join(map(str, self.layers)) or "none"
            raise StateError(
                f"layer {layer} is not in the store: {self.path} has {there}",
                hint=f"ghosttrack extract --layer {layer}",
            )
        return layout.layer_array(layer)

    def _read(self, array: str, start: int, stop: int) -> Array:
        assert 0 <= start <= stop <= self.rows, (start, stop, self.rows)
        out = ChunkSpec.of(self.identity, array).empty(stop - start)
        self.checksums(array)

        def fill(span: tuple[int, int, int]) -> None:
            index, first, last = span
            self._fill(array, index, out[first - start : last - start], first)

        with workers(READ_THREADS, "read") as pool:
            list(pool.map(fill, self._spans(start, stop)))
        return out

    def _spans(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        while start < stop:
            index = start // self.chunk_rows
            last = min(stop, (index + 1) * self.chunk_rows)
            yield index, start, last
            start = last

    def _fill(self, array: str, index: int, out: Array, first: int) -> None:
        offset = first - index * self.chunk_rows
        if len(out) == self.committed_rows(index):
            self._read_chunk(array, index, out)
        else:
            whole = ChunkSpec.of(self.identity, array).empty(self.committed_rows(index))
            self._read_chunk(array, index, whole)
            out[:] = whole[offset : offset + len(out)]

    def committed_rows(self, index: int) -> int:
        """Committed rows of a chunk: `chunk_rows`, or fewer in the last one."""
        return min(self.chunk_rows, self.rows - index * self.chunk_rows)

    def _read_chunk(self, array: str, index: int, out: Array) -> None:
        assert len(out) == self.committed_rows(index)
        spec, crc = ChunkSpec.of(self.identity, array), self.checksums(array)[index]
        chunks.read(self._folder, spec, index, crc, out)
