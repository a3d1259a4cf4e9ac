"""Everything that a commit names, read back from the disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.machine.ahead import in_order, workers
from ghosttrack_cli.machine.signals import raise_if_stopped
from ghosttrack_cli.monitor import SILENT, Monitor, Part, Progress
from ghosttrack_cli.site import Site
from ghosttrack_cli.store.format import chunks, layout
from ghosttrack_cli.store.format.chunks import ChunkSpec
from ghosttrack_cli.store.format.segments import read_checksums

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.format.commit_record import Commit

VERIFY_THREADS = 2
VERIFYING = Part("verifying", 0.0, 1.0)


@dataclass(frozen=True)
class BadChunk:
    """A chunk that is not as it was committed; `chunk` None means checksums or metadata."""

    array: str
    layer: AnySite | None
    chunk: int | None
    reason: str

    def __str__(self) -> str:
        place = self.array if self.layer is None else f"layer {self.layer}"
        return f"{place}{'' if self.chunk is None else f', chunk {self.chunk}'}: {self.reason}"


@dataclass(frozen=True)
class _Check:
    array: str
    chunk: int
    rows: int
    crc: int


def verify_store(store: Path, commit: Commit, monitor: Monitor = SILENT) -> list[BadChunk]:
    """Every chunk, segment and `zarr.json` that is missing or not what the commit says.

    Raises:
        Stopped: a signal came.
    """
    monitor.begin(VERIFYING)
    bad = [*_bad_metadata(store, commit)]
    checks: list[_Check] = []
    for array in commit.arrays:
        try:
            checks += _checks(store, commit, array)
        except CorruptionError as error:
            bad.append(BadChunk(array, _layer(array), None, error.what))
    return bad + _verify_chunks(store, commit, checks, monitor)


def _verify_chunks(
    store: Path, commit: Commit, checks: list[_Check], monitor: Monitor
) -> list[BadChunk]:
    specs = {array: ChunkSpec.of(commit.identity, array) for array in commit.arrays}

    def fault(check: _Check) -> str | None:
        spec = specs[check.array]
        return chunks.find_fault(store, spec, check.chunk, check.crc, spec.empty(check.rows))

    bad: list[BadChunk] = []
    done, total = 0, sum(check.rows * specs[check.array].row_bytes for check in checks)
    with workers(VERIFY_THREADS, "verify") as pool:
        for check, reason in in_order(pool, fault, checks, VERIFY_THREADS):
            if reason is not None:
                bad.append(BadChunk(check.array, _layer(check.array), check.chunk, reason))
            done += check.rows * specs[check.array].row_bytes
            monitor.progress(Progress(VERIFYING.name, done, total, "bytes"))
            raise_if_stopped(monitor.stop_signal)
    return bad


def _checks(store: Path, commit: Commit, array: str) -> Iterator[_Check]:
    rows, chunk_rows = commit.arrays[array].rows, commit.chunk_rows
    for index, crc in enumerate(read_checksums(store, array, commit.arrays[array])):
        yield _Check(array, index, min(chunk_rows, rows - index * chunk_rows), crc)


def _layer(array: str) -> Site | None:
    return None if array in layout.ROW_ARRAYS else Site.of_array(array)


def _bad_metadata(store: Path, commit: Commit) -> Iterator[BadChunk]:
    rows = {name: array.rows for name, array in commit.arrays.items()}
    for node, data in layout.metadata(commit.identity, rows).items():
        try:
            found = files.read_json(layout.metadata_path(store, node), limit=2 * len(data) + 4096)
        except FileNotFoundError:
            if _rows_below(node, rows):
                yield BadChunk(node, None, None, "zarr.json is missing")
        except CorruptionError as error:
            yield BadChunk(node, None, None, error.what)
        else:
            if _without_shape(found) != _without_shape(json.loads(data)):
                yield BadChunk(node, None, None, "zarr.json differs from what was written")


def _rows_below(node: str, rows: Mapping[str, int]) -> int:
    """The rows of an array, or of all arrays in a group: without any, it may not be written yet."""
    inside = "" if node == "." else f"{node}/"
    return sum(count for name, count in rows.items() if f"{name}/".startswith(inside))


def _without_shape(document: object) -> object:
    # A kill between the commit and the shapes leaves old ones, which the next writer mends.
    return document | {"shape": None} if isinstance(document, dict) else document
