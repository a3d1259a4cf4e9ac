"""The store against the disk and against zarr-python: `python benchmarks/store.py`.

Everything in one process, medians over alternating repeats; decimal units. Rows are bfloat16 of
width 768, as GPT-2's. A machine that does other work at the same time moves all figures: read the
shares, not the absolute numbers.
"""

from __future__ import annotations

import argparse
import mmap
import os
import platform
import shutil
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import torch
import zarr

import ghosttrack_cli.store.format.bfloat16  # noqa: F401 - registers the data type with zarr-python
from ghosttrack_cli import files
from ghosttrack_cli.store.format import chunks, layout
from ghosttrack_cli.store.format.commit_parts import (
    SEGMENT_CHUNKS,
    ArrayCommit,
    LayerSums,
    ResumePoint,
)
from ghosttrack_cli.store.format.commit_record import new_commit, write_commit
from ghosttrack_cli.store.format.identity import StoreIdentity
from ghosttrack_cli.store.format.segments import Segment, write_segment
from ghosttrack_cli.store.format.statistics import NormSums
from ghosttrack_cli.store.read.batches import BLOCK_ROWS, RowBatches
from ghosttrack_cli.store.read.order import permutation
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.store.write.committer import COMMIT_CHUNKS
from ghosttrack_cli.store.write.writer import StoreWriter
from record import add_option, figure, recording

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.format.dtypes import Array

D = 768
BATCH = 4096
COMMIT_LAYERS = 12


def identity(d_model: int = D) -> StoreIdentity:
    """Any model will do."""
    return StoreIdentity(
        "gpt2", None, "", "", (50256,), {}, 1024, 4, d_model=d_model, dtype="bfloat16"
    )


def make_rows(count: int) -> Array:
    """Random rows; a tile of 65,536 repeated, because only their bytes matter."""
    tile = torch.randn(min(count, BLOCK_ROWS), D, generator=torch.Generator().manual_seed(0))
    rows = tile.to(torch.bfloat16).view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return np.resize(rows, (count, D))


def alternate(
    jobs: Mapping[str, Callable[[], None]], repeats: int, prepare: Callable[[], None]
) -> dict[str, tuple[float, float]]:
    """The median wall and CPU seconds of each job, with the jobs taken in turn."""
    walls: dict[str, list[float]] = {name: [] for name in jobs}
    cpus: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            prepare()
            wall, cpu = time.perf_counter(), time.process_time()
            job()
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(time.process_time() - cpu)
    return {name: (statistics.median(walls[name]), statistics.median(cpus[name])) for name in jobs}


def write_raw(folder: Path, rows: Array) -> None:
    """One file, one fsync: the most that the disk gives."""
    data = chunks.raw(rows).data
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    step = BATCH * D * 2
    for offset in range(0, len(data), step):
        os.pwrite(descriptor, data[offset : offset + step], offset)
    os.fsync(descriptor)
    os.close(descriptor)


def write_direct(folder: Path, rows: Array) -> None:
    """The same past the page cache, which the store's writer does too: one thread, one file."""
    data, step = chunks.raw(rows).data, 2**21
    memory = mmap.mmap(-1, step)
    descriptor = os.open(folder / "direct", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_DIRECT)
    for offset in range(0, len(data) // step * step, step):
        memory[:] = data[offset : offset + step]
        os.pwrite(descriptor, memory, offset)
    os.fsync(descriptor)
    os.close(descriptor)


def write_ours(folder: Path, rows: Array, layers: int) -> None:
    """The public interface, with checks, checksums, statistics, commits and fsync."""
    count = len(rows) // layers
    ids = np.zeros(BATCH, np.int64)
    with StoreWriter.open(
        folder / "ours.zarr", identity(), range(layers), asked_rows=count
    ) as store:
        for start in range(0, count, BATCH):
            batch: dict[AnySite, Any] = {
                layer: rows[layer * count + start : layer * count + start + BATCH]
                for layer in range(layers)
            }
            n = len(batch[0])
            store.append(batch, ids[:n], ids[:n], ids[:n], cursor=start)
        store.seal(complete=True)


def write_zarr(folder: Path, rows: Array, **options: Any) -> None:
    """zarr-python, a batch at a time; it never calls fsync, so that it is done here."""
    array: Any = zarr.create_array(
        folder / "stock.zarr", shape=rows.shape, dtype=rows.dtype, **options
    )
    step = array.chunks[0]
    for start in range(0, len(rows), step):
        array[start : start + step] = rows[start : start + step]
    for file in (folder / "stock.zarr").rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def write_zarr_tuned(folder: Path, rows: Array) -> None:
    """zarr-python as fast as it can be made without leaving it."""
    with zarr.config.set({"array.write_empty_chunks": True}):
        write_zarr(folder, rows, chunks=(8192, D), compressors=None)


def bench_writer(folder: Path, rows: Array, repeats: int) -> None:
    """The same bytes written in seven ways."""

    def clean() -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        os.sync()

    jobs = {
        "pwrite + fsync, one file": lambda: write_raw(folder, rows),
        "O_DIRECT + fsync, one file": lambda: write_direct(folder, rows),
        "StoreWriter, 1 layer": lambda: write_ours(folder, rows, 1),
        "StoreWriter, 4 layers": lambda: write_ours(folder, rows, 4),
        "StoreWriter, 12 layers": lambda: write_ours(folder, rows, 12),
        "zarr-python, stock settings": lambda: write_zarr(folder, rows),
        "zarr-python, chunks of 8192, no codec, write_empty_chunks": lambda: write_zarr_tuned(
            folder, rows
        ),
    }
    print_shares(f"writer, {rows.nbytes / 1e6:.0f} MB", jobs, rows.nbytes, repeats, clean)
    clean()


def print_shares(
    title: str,
    jobs: Mapping[str, Callable[[], None]],
    size: int,
    repeats: int,
    prepare: Callable[[], None],
) -> None:
    """One line a job: GB/s, the share of the first job, and CPU seconds for a GB."""
    medians = alternate(jobs, repeats, prepare)
    base, _ = next(iter(medians.values()))
    print(f"\n{title:<60}{'GB/s':>8}{'share':>8}{'CPU s/GB':>10}")
    for name, (wall, cpu) in medians.items():
        gigabytes = size / 1e9
        share = f"{gigabytes / wall:>8.2f}{base / wall:>8.2f}"
        print(f"  {name:<58}{share}{cpu / gigabytes:>10.2f}")
        figure(
            title,
            job=name,
            gigabytes_per_second=gigabytes / wall,
            share_of_first=base / wall,
            cpu_seconds_per_gigabyte=cpu / gigabytes,
        )


def drop_cache(store: Path) -> None:
    """Take the store's files out of the page cache."""
    for file in store.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def read_raw(store: ActivationStore) -> None:
    """The same chunk files in shuffled order, without checks and shuffling of rows."""
    buffer = bytearray(store.identity.chunk_bytes + chunks.CRC_BYTES)
    for index in permutation(store.chunks, 0, 0).tolist():
        path = layout.chunk_path(store.path, layout.layer_array(0), index)
        descriptor = os.open(path, os.O_RDONLY)
        while os.readv(descriptor, [buffer]):
            pass
        os.close(descriptor)


def consume(batches: RowBatches) -> None:
    """One epoch."""
    for _ in batches.batches(0, batches.steps_per_epoch):
        pass


def bench_reader(folder: Path, rows: Array, repeats: int) -> None:
    """The same chunks read from the disk, and from memory."""
    write_ours(folder, rows, 1)
    os.sync()
    store = ActivationStore.open(folder / "ours.zarr")
    keep = np.ones(store.rows, np.bool_)
    options: dict[str, Any] = {"batch_size": BATCH, "seed": 0}
    streamed = RowBatches(store, 0, keep, resident=False, **options)
    jobs = {
        "raw reads of the same chunks": lambda: read_raw(store),
        "RowBatches, streamed": lambda: consume(streamed),
        "verify": lambda: assert_good(store),
    }
    title = f"reader, {rows.nbytes / 1e6:.0f} MB cold, blocks of {BLOCK_ROWS} rows"
    print_shares(title, jobs, rows.nbytes, repeats, lambda: drop_cache(store.path))
    resident = RowBatches(store, 0, keep, resident=True, block_rows=store.rows, **options)
    memory = torch.from_numpy(rows.view(np.int16))
    order = torch.from_numpy(resident.order(0))
    warm = {
        "gathering the same rows in memory": lambda: gather(memory, order),
        "RowBatches, resident": lambda: consume(resident),
    }
    print_shares("resident batches", warm, rows.nbytes, repeats, lambda: None)


def assert_good(store: ActivationStore) -> None:
    """What `status --verify` does."""
    assert store.verify() == []


def gather(memory: torch.Tensor, order: torch.Tensor) -> None:
    """The most that memory gives for random rows."""
    for start in range(0, len(order), BATCH):
        memory[order[start : start + BATCH]]


def synthetic_store(path: Path, rows: int) -> None:
    """A store that says it has `rows` rows in 12 layers: checksums and segments, no chunks."""
    commit = new_commit(identity(4), asked_rows=rows).with_layers(tuple(range(COMMIT_LAYERS)))
    chunk_rows = commit.chunk_rows
    count = rows // chunk_rows
    norms = NormSums(count * chunk_rows, 1.0, 1.0, {40_000 + k: 1 for k in range(600)})
    norms = NormSums(norms.rows, 1.0, 1.0, {**norms.histogram, 40_000: norms.rows - 599})
    for name in commit.arrays:
        array = ArrayCommit(rows=count * chunk_rows, full_bytes=rows)
        previous = None
        for index in range(count // SEGMENT_CHUNKS):
            segment = Segment(
                name, index, previous, tuple(range(SEGMENT_CHUNKS)), ResumePoint(0, 0)
            )
            previous = write_segment(path, segment)
        rest = tuple(range(count % SEGMENT_CHUNKS))
        commit.arrays[name] = ArrayCommit(
            array.rows, rows, 0, count // SEGMENT_CHUNKS, previous, rest
        )
    if count:
        commit.sums.update({layer: LayerSums(norms) for layer in commit.sums})
    files.make_folder(path)
    write_commit(path, commit)


def commit_seconds(path: Path, commits: int) -> float:
    """Seconds from eight chunks a layer to the commit that names them, median."""
    seconds = []
    rows = ActivationStore.open(path).rows
    zeros, ids = np.zeros((8192, 4), ml_dtypes.bfloat16), np.zeros(8192, np.int64)
    asked = rows + COMMIT_CHUNKS * commits * 8192
    with StoreWriter.open(path, identity(4), range(COMMIT_LAYERS), asked_rows=asked) as store:
        store._position = rows  # noqa: SLF001 - the chunks before do not exist to be compared
        for _ in range(commits):
            start = time.perf_counter()
            for _ in range(COMMIT_CHUNKS):
                store.append(dict.fromkeys(store.layers, zeros), ids, ids, ids, cursor=0)
            store._committer.wait()  # noqa: SLF001 - to see when the last chunk is committed
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def bench_commit(folder: Path, commits: int) -> None:
    """The cost of a commit against what is committed already."""
    print(f"\n{'a commit: 8 chunks of 12 layers, D = 4':<44}"
          f"{'ms':>8}{'commit.json kB':>16}{'segments':>10}{'open ms':>9}")  # fmt: skip
    for rows in (0, 1_000_000, 10_000_000, 100_000_000):
        path = folder / f"{rows}.zarr"
        synthetic_store(path, rows)
        milliseconds = 1e3 * commit_seconds(path, commits)
        size = layout.commit_path(path).stat().st_size / 1e3
        segments = sum(1 for _ in (path / "commits").rglob("*.json"))
        start = time.perf_counter()
        ActivationStore.open(path).checksums(layout.layer_array(0))
        opening = 1e3 * (time.perf_counter() - start)
        print(f"  {rows:>11,} rows committed before {milliseconds:>18.0f}{size:>16.0f}"
              f"{segments:>10}{opening:>9.1f}")  # fmt: skip
        figure(
            "commit",
            rows_before=rows,
            milliseconds=milliseconds,
            commit_kilobytes=size,
            segments=segments,
            open_milliseconds=opening,
        )


def tables(arguments: argparse.Namespace) -> None:
    """Measure, print and record."""
    names = ("zarr", "numpy", "torch", "google-crc32c")
    print(f"{platform.platform()}, {os.cpu_count()} CPU cores, load {os.getloadavg()[0]:.1f}")
    print(f"Python {platform.python_version()}, " + ", ".join(f"{n} {version(n)}" for n in names))
    rows = make_rows(arguments.megabytes * 10**6 // (2 * D) // (12 * 8192) * (12 * 8192))
    with tempfile.TemporaryDirectory(prefix="ghosttrack-bench-", dir=arguments.folder) as name:
        folder = Path(name) / "work"
        folder.mkdir()
        bench_writer(folder, rows, arguments.repeats)
        bench_reader(folder, rows, arguments.repeats)
        bench_commit(folder, 20)


def main() -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1400)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure")
    add_option(parser)
    arguments = parser.parse_args()
    with recording("store", arguments):
        tables(arguments)


if __name__ == "__main__":
    main()
