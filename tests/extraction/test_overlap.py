from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
import torch

from ghosttrack_cli.extraction.overlap import QUEUE_DEPTH, PlainCopies, WriteBehind, host_copies

if TYPE_CHECKING:
    from ghosttrack_cli.site import AnySite


class Recorder:
    """Writes into a list; waits for `go`, fails at `fail_at`."""

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.written: list[int] = []
        self.discarded: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.fail_at = fail_at

    def write(self, item: int) -> None:
        self.go.wait(10)
        if item == self.fail_at:
            raise OSError("disk on fire")
        self.written.append(item)


def write_all(recorder: Recorder, items: int, error: Exception | None = None) -> None:
    with WriteBehind(recorder.write, recorder.discarded.append) as behind:
        for item in range(items):
            behind.put(item)
        if error is not None:
            raise error


def test_items_are_written_in_order() -> None:
    recorder = Recorder()
    with WriteBehind(recorder.write, recorder.discarded.append) as behind:
        for item in range(100):
            behind.put(item)
        behind.drain()
        assert recorder.written == list(range(100))


def test_a_slow_writer_holds_the_caller_back() -> None:
    recorder = Recorder()
    recorder.go.clear()
    queued: list[int] = []

    def produce() -> None:
        with WriteBehind(recorder.write, recorder.discarded.append) as behind:
            for item in range(20):
                behind.put(item)
                queued.append(item)

    thread = threading.Thread(target=produce)
    thread.start()
    time.sleep(0.2)
    assert len(queued) <= QUEUE_DEPTH + 1
    recorder.go.set()
    thread.join(10)
    assert recorder.written == list(range(20))


def test_a_failure_reaches_the_caller_and_the_rest_is_discarded() -> None:
    recorder = Recorder(fail_at=3)
    with pytest.raises(OSError, match="disk on fire"):
        write_all(recorder, 100)
    assert recorder.written == [0, 1, 2]
    assert recorder.discarded == list(range(4, 4 + len(recorder.discarded)))


def test_a_failure_is_seen_at_the_end_too() -> None:
    recorder = Recorder(fail_at=1)
    with pytest.raises(OSError, match="disk on fire"):
        write_all(recorder, 2)


def test_what_waits_is_given_up_when_the_caller_fails() -> None:
    recorder = Recorder()
    recorder.go.clear()
    threading.Timer(0.2, recorder.go.set).start()
    with pytest.raises(KeyError):
        write_all(recorder, 2, error=KeyError())
    assert recorder.written + recorder.discarded == [0, 1]
    assert 1 in recorder.discarded
    assert not any(thread.name == "write-behind" for thread in threading.enumerate())


def test_rows_on_the_cpu_are_the_streams_themselves() -> None:
    stream = torch.randn(3, 5, 4)
    copies = host_copies(torch.device("cpu"), torch.float32, [0], 15, 4)
    assert isinstance(copies, PlainCopies)
    rows = copies.copy({0: stream}).rows[0]
    assert rows.data_ptr() == stream.data_ptr()
    assert torch.equal(rows, stream.reshape(15, 4))
    half = PlainCopies(torch.bfloat16).copy({0: stream}).rows[0]
    assert (half.dtype, half.shape) == (torch.bfloat16, (15, 4))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_rows_from_a_gpu_equal_a_blocking_copy() -> None:
    device = torch.device("cuda")
    copies = host_copies(device, torch.bfloat16, [0, 1], 4096, 64)
    with WriteBehind[int](lambda _: None, lambda _: None):
        for step in range(20):
            n = 4 if step % 5 else 3
            streams: dict[AnySite, torch.Tensor] = {
                k: torch.randn(n, 1024, 64, device=device) * k for k in (0, 1)
            }
            host = copies.copy(streams)
            expected = {k: v.flatten(0, 1).to(torch.bfloat16).cpu() for k, v in streams.items()}
            del streams
            host.wait()
            assert all(torch.equal(host.rows[k], expected[k]) for k in expected)
            host.release()
