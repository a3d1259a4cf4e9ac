"""Work ahead of its reader, and work behind whoever hands it over: bounded, in order, ended."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from ghosttrack_cli.machine.ahead import in_order, taken_ahead, workers
from ghosttrack_cli.machine.behind import WorkBehind

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

SECONDS = 10


class Gate:
    """Work that waits for `go`, and tells what was begun and done."""

    def __init__(self, *, is_open: bool = True, fails_at: int | None = None) -> None:
        self.go = threading.Event()
        self.begun: list[int] = []
        self.done: list[int] = []
        self.running = threading.Event()
        self.fails_at = fails_at
        if is_open:
            self.go.set()

    def work(self, item: int) -> int:
        self.begun.append(item)
        self.running.set()
        assert self.go.wait(SECONDS)
        if item == self.fails_at:
            raise OSError(f"no {item}")
        self.done.append(item)
        return item * item


def squares(
    gate: Gate, items: Iterable[int], ahead: int = 2, threads: int = 2
) -> Generator[tuple[int, int]]:
    with workers(threads, "squares") as pool:
        yield from in_order(pool, gate.work, items, ahead)


def names() -> set[str]:
    return {thread.name.partition("_")[0] for thread in threading.enumerate()}


@pytest.mark.parametrize("ahead", [0, 1, 5])
@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order(ahead: int, threads: int) -> None:
    found = list(squares(Gate(), range(20), ahead, threads))
    assert found == [(item, item * item) for item in range(20)]
    assert "squares" not in names()


def test_little_is_begun_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(50):
            taken.append(item)
            yield item

    with closing(squares(Gate(), items(), ahead=3)) as found:
        assert next(found) == (0, 0)
        assert taken == [0, 1, 2, 3]
        assert next(found) == (1, 1)
        assert taken == [0, 1, 2, 3, 4]
    assert "squares" not in names()


def test_what_fails_is_raised_in_its_place() -> None:
    found = squares(Gate(fails_at=2), range(9))
    assert [next(found), next(found)] == [(0, 0), (1, 1)]
    with pytest.raises(OSError, match="no 2"):
        next(found)
    assert "squares" not in names()


def test_what_the_source_raises_comes_after_all_before() -> None:
    def items() -> Iterator[int]:
        yield from (0, 1, 2)
        raise KeyError("gone")

    found = taken_ahead(items(), 5)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="gone"):
        next(found)


def test_a_reader_that_stops_waits_for_what_runs_and_for_nothing_else() -> None:
    gate = Gate()
    found = squares(gate, range(9), ahead=6, threads=1)
    gate.go.set()
    assert next(found) == (0, 0)
    found.close()
    assert gate.begun == gate.done
    assert "squares" not in names()


def test_work_that_waits_is_dropped_when_the_block_fails() -> None:
    gate = Gate(is_open=False)
    with suppress(KeyError), workers(1, "squares") as pool:
        waiting = [pool.submit(gate.work, item) for item in range(5)]
        assert gate.running.wait(SECONDS)
        threading.Timer(0.05, gate.go.set).start()
        raise KeyError
    assert gate.begun == gate.done == [0]
    assert [one.cancelled() for one in waiting] == [False, True, True, True, True]
    assert "squares" not in names()


def behind(gate: Gate, discarded: list[int], most: int = 3) -> WorkBehind[int]:
    def work(item: int) -> None:
        gate.work(item)

    return WorkBehind(work, discarded.append, most=most, name="behind")


def test_as_much_as_fits_is_on_its_way_and_what_is_larger_goes_alone() -> None:
    gate = Gate(is_open=False)
    sizes = {0: 2, 1: 3, 2: 9, 3: 1}
    put: list[int] = []

    def work(item: int) -> None:
        gate.work(item)

    def hand_over() -> None:
        with WorkBehind(work, put.append, most=5, size=sizes.__getitem__, name="behind") as one:
            for item in sizes:
                one.put(item)
                put.append(item)

    thread = threading.Thread(target=hand_over)
    thread.start()
    assert gate.running.wait(SECONDS)
    thread.join(0.1)
    assert put == [0, 1]
    gate.go.set()
    thread.join(SECONDS)
    assert gate.done == put == [0, 1, 2, 3]
    assert "behind" not in names()


def test_draining_waits_for_what_is_of_no_size_too() -> None:
    gate = Gate(is_open=False)

    def work(item: int) -> None:
        gate.work(item)

    with WorkBehind(work, print, most=1, size=lambda _: 0, name="behind") as one:
        one.put(7)
        threading.Timer(0.05, gate.go.set).start()
        one.drain()
        assert gate.done == [7]


def test_a_failure_is_told_once_and_the_rest_is_discarded() -> None:
    gate, discarded = Gate(is_open=False, fails_at=1), list[int]()
    one = behind(gate, discarded)
    for item in range(3):
        one.put(item)
    gate.go.set()
    with pytest.raises(OSError, match="no 1"):
        one.drain()
    assert one.failed
    with pytest.raises(OSError, match="no 1"):
        one.put(3)
    one.close()
    assert (gate.done, discarded) == ([0], [2])
    assert "behind" not in names()


def test_a_failure_that_nobody_was_told_is_raised_at_the_end() -> None:
    one = behind(Gate(fails_at=0), [])
    one.put(0)
    with pytest.raises(OSError, match="no 0"):
        one.close()


def test_what_waits_is_discarded_when_it_is_abandoned() -> None:
    gate, discarded = Gate(is_open=False), list[int]()
    one = behind(gate, discarded)
    for item in range(3):
        one.put(item)
    assert gate.running.wait(SECONDS)
    threading.Timer(0.05, gate.go.set).start()
    one.close(abandon=True)
    assert (gate.done, discarded) == ([0], [1, 2])
    assert "behind" not in names()
