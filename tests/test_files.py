"""Large files go to the disk in the background and past the page cache, with the same bytes."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghosttrack_cli.errors import DiskError
from ghosttrack_cli.files import DiskQueue, StagedFile, WriteBatch, staging, system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = random.Random(0).randbytes(5 * 4096)


class System:
    """Stands in for `os` in the module that writes files."""

    def __init__(self, **replaced: Any) -> None:
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskQueue]:
    """With buffers of two blocks, so that small files need several."""
    monkeypatch.setattr(staging, "BUFFER_BYTES", 2 * staging.BLOCK_BYTES)
    queue = DiskQueue()
    yield queue
    queue.close()


def write(path: Path, disk: DiskQueue, *parts: bytes) -> None:
    batch = WriteBatch()
    try:
        file = StagedFile(path, disk)
        file.write(*parts)
        assert file.bytes == sum(map(len, parts))
        batch.add(file)
        batch.finish()
    finally:
        batch.discard()


@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=6), size=st.integers(0, len(CONTENT)))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_parts_of_any_size_arrive(
    cuts: list[int], size: int, tmp_path: Path, disk: DiskQueue
) -> None:
    bounds = [0, *sorted(min(cut, size) for cut in cuts), size]
    parts = [CONTENT[start:stop] for start, stop in pairwise(bounds)]
    write(tmp_path / "a" / "b", disk, *parts)
    assert (tmp_path / "a" / "b").read_bytes() == CONTENT[:size]
    assert not list(tmp_path.rglob("*.partial"))


def test_it_has_no_name_before_its_batch_is_finished(tmp_path: Path, disk: DiskQueue) -> None:
    (tmp_path / "a").write_bytes(b"old")
    file = StagedFile(tmp_path / "a", disk)
    file.write(CONTENT)
    assert (tmp_path / "a").read_bytes() == b"old"
    file.close()
    assert (tmp_path / "a").read_bytes() == b"old"


needs_direct = pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="there is no O_DIRECT here")


def refuse(*_: object) -> int:
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


@needs_direct
def test_a_file_system_that_refuses_the_flag_is_written_to_without(
    tmp_path: Path, disk: DiskQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_file(path: Path, flags: int, mode: int = 0o777) -> int:
        return refuse() if flags & os.O_DIRECT else os.open(path, flags, mode)

    monkeypatch.setattr(system, "os", System(open=open_file))
    write(tmp_path / "a", disk, CONTENT)
    assert (tmp_path / "a").read_bytes() == CONTENT


@needs_direct
def test_a_file_system_that_refuses_the_write_gets_another(
    tmp_path: Path, disk: DiskQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            refused.append(offset)
            refuse()
        return os.pwrite(descriptor, data, offset)

    monkeypatch.setattr(system, "os", System(pwrite=pwrite))
    write(tmp_path / "a", disk, CONTENT)
    assert refused
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_failure_in_the_background_is_told_and_the_old_file_stays(
    tmp_path: Path, disk: DiskQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pwrite(_descriptor: int, _data: memoryview, offset: int) -> int:
        raise OSError(errno.ENOSPC, f"full at {offset}")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(system, "os", System(pwrite=pwrite))
    with pytest.raises(DiskError, match=r"cannot write 8,192 bytes: .*/a: full at 0") as caught:
        write(tmp_path / "a", disk, CONTENT)
    assert "free some space" in (caught.value.hint or "")
    assert (tmp_path / "a").read_bytes() == b"old"
    monkeypatch.undo()
    write(tmp_path / "a", disk, CONTENT)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_disk_that_is_behind_holds_the_caller_back(
    tmp_path: Path, disk: DiskQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    real = mmap.mmap

    def memory(*arguments: int) -> Any:
        made.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(mmap, "mmap", memory)
    write(tmp_path / "a", disk, *[CONTENT] * 100)
    assert 0 < len(made) <= staging.MAX_QUEUED + staging.DISK_THREADS + 1
    assert (tmp_path / "a").read_bytes() == CONTENT * 100
