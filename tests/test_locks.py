"""One writer or many readers, each known by name; a lock belongs to its process alone."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli import files
from ghosttrack_cli.errors import DiskError, LockedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOLDER = """
import os, subprocess, sys
from pathlib import Path
from ghosttrack_cli import files
path, kind, child = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
with getattr(files, kind)(path, purpose="testing " + kind):
    if child == "forked":
        pid = os.fork()
        if not pid:
            while True:
                sys.stdin.read(1)
    elif child == "subprocess":
        pid = subprocess.Popen(["sleep", "60"], close_fds=False).pid
    else:
        pid = 0
    print(pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".some.lock"


@pytest.fixture
def hold(path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], int]]]:
    """`hold("shared_lock")`: another process that holds the lock, and its child if it has one."""
    with ExitStack() as stack:

        def start(kind: str, child: str = "none") -> tuple[subprocess.Popen[str], int]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", HOLDER, str(path), kind, child],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            assert process.stdout is not None
            stack.callback(process.kill)
            return process, int(process.stdout.readline())

        yield start


@pytest.mark.parametrize("child", ["forked", "subprocess"])
def test_a_child_of_a_killed_holder_does_not_keep_the_lock(
    path: Path, hold: Callable[..., Any], child: str
) -> None:
    process, survivor = hold("exclusive_lock", child)
    try:
        with (
            pytest.raises(LockedError, match=f"process {process.pid}, testing exclusive_lock"),
            files.exclusive_lock(path, purpose="test"),
        ):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.kill(survivor, 0)
        with files.exclusive_lock(path, purpose="test"):
            pass
    finally:
        os.kill(survivor, signal.SIGKILL)


def test_readers_share_and_a_writer_is_told_who_reads(path: Path, hold: Callable[..., Any]) -> None:
    first, _ = hold("shared_lock")
    second, _ = hold("shared_lock")
    with files.shared_lock(path, purpose="test"):
        pass
    with (
        pytest.raises(LockedError, match=r"process (\d+), testing shared_lock"),
        files.exclusive_lock(path, purpose="test"),
    ):
        pass
    for process in (first, second):
        process.kill()
        process.wait()
    with files.exclusive_lock(path, purpose="test"):
        pass


def test_a_reader_is_told_who_writes(path: Path, hold: Callable[..., Any]) -> None:
    process, _ = hold("exclusive_lock")
    assert files.lock_holders(path.parent) == [f"process {process.pid}, testing exclusive_lock"]
    with (
        pytest.raises(LockedError, match=f"process {process.pid}, testing exclusive_lock"),
        files.shared_lock(path, purpose="test"),
    ):
        pass


def held_elsewhere(path: Path) -> bool:
    """What another process finds."""
    code = (
        "import sys; from pathlib import Path; from ghosttrack_cli import files;"
        "print(files.lock_holders(Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path.parent)], capture_output=True, text=True, check=True
    )
    return f"process {os.getpid()}, test" in done.stdout


def test_looking_at_a_lock_or_failing_to_take_it_does_not_give_it_up(path: Path) -> None:
    """The kernel drops a record lock when any descriptor of the file is closed."""
    with files.exclusive_lock(path, purpose="test"):
        assert files.lock_holders(path.parent) == [f"process {os.getpid()}, test"]
        for lock in (files.exclusive_lock, files.shared_lock):
            with pytest.raises(LockedError, match="test"), lock(path, purpose="again"):
                pass
        assert held_elsewhere(path)
    assert files.lock_holders(path.parent) == []
    assert not held_elsewhere(path)


def test_threads_of_one_process_stand_in_each_others_way(path: Path) -> None:
    found: list[str] = []

    def take() -> None:
        try:
            with files.exclusive_lock(path, purpose="thread"):
                found.append("taken")
        except LockedError:
            found.append("refused")

    with files.shared_lock(path, purpose="one"):
        with files.shared_lock(path, purpose="another"):
            pass
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
    take()
    assert found == ["refused", "taken"]


def test_a_child_that_leaves_the_block_does_not_free_its_parents_lock(path: Path) -> None:
    with files.exclusive_lock(path, purpose="test"):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            with_lock = b"no"
            try:
                with files.exclusive_lock(path, purpose="child"):
                    with_lock = b"yes"
            except LockedError:
                pass
            finally:
                os.write(writing, with_lock)
                os._exit(0)
        os.close(writing)
        assert os.read(reading, 9) == b"no"
        os.close(reading)
        os.waitpid(child, 0)
        assert held_elsewhere(path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EIO])
@pytest.mark.parametrize("kind", ["exclusive_lock", "shared_lock"])
def test_a_folder_that_takes_no_locks_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(DiskError, match=f"cannot lock: {path}: ") as caught:  # noqa: SIM117
        with getattr(files, kind)(path, purpose="test"):
            pass
    assert "--workspace" in str(caught.value.hint)
    monkeypatch.undo()
    with files.exclusive_lock(path, purpose="test"):
        pass


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_nobody_can_write_to_needs_no_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = os.open

    def refuse(name: Any, flags: int, *more: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return real(name, flags, *more)

    monkeypatch.setattr(os, "open", refuse)
    with files.shared_lock(path, purpose="test"):
        pass
    with pytest.raises(DiskError, match="cannot lock"), files.exclusive_lock(path, purpose="test"):
        pass
    monkeypatch.undo()
    path.touch()
    monkeypatch.setattr(os, "open", refuse)
    with files.shared_lock(path, purpose="test"):
        pass


def test_names_of_readers_do_not_pile_up(path: Path) -> None:
    for number in range(50):
        with files.shared_lock(path, purpose=f"reader {number}"):
            pass
    assert path.read_text() == f"process {os.getpid()}, reader 49\n"
