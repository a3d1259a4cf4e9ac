"""Whole stages that are killed: one process imports everything, and forks for each run.

A program that calls `serve` reads requests from its input, a line of JSON each, and answers in the
same way. Its imports take seconds, a run a tenth of one.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tests.store import kills
from tests.store.kills import Failpoints, Kill

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

BEGUN = b"!"


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit status, and of a whole one its calls and seconds since the first."""

    status: int
    calls: dict[str, int]
    seconds: float


class Forks:
    """The other end of such a program, which is a module."""

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", program],
            cwd=Path(__file__).parents[1],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def run(self, request: dict[str, Any], kill: Kill | None = None) -> Ended:
        """Run what the program makes of a request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        say(self._process.stdin, request | {"kill": None if kill is None else asdict(kill)})
        ended = Ended(**json.loads(self._process.stdout.readline()))
        assert ended.status == 0 or (kill is not None and ended.status == -signal.SIGKILL)
        return ended

    def kill(self, request: dict[str, Any], kill: Kill, folder: Path) -> bool:
        """Whether a run was killed before it ended.

        One that outruns its kill does so again on what `folder` held before, with half the way to
        the kill, so that the speed of the machine decides nothing.
        """
        with tempfile.TemporaryDirectory() as kept:
            if folder.exists():
                shutil.copytree(folder, kept, dirs_exist_ok=True)
            while self.run(request, kill).status == 0:
                if kill.halved == kill:
                    return False
                kill = kill.halved
                shutil.rmtree(folder)
                shutil.copytree(kept, folder)
        return True


def spread(rng: random.Random, count: int, whole: Ended, names: Sequence[str]) -> list[Kill]:
    """Kills all over a run like `whole`, by turns at a named call and by time.

    Each counts from where the one before it struck, so that all of them strike.
    """
    points = sorted(rng.random() for _ in range(count))
    shares = [after - before for before, after in pairwise([0.0, *points])]
    chosen = rng.choices(names, k=count)
    return [
        Kill(1, seconds=share * whole.seconds)
        if number % 2
        else Kill(max(1, int(share * whole.calls[name])), name)
        for number, (share, name) in enumerate(zip(shares, chosen, strict=True))
    ]


def say(pipe: IO[str], document: dict[str, Any]) -> None:
    pipe.write(json.dumps(document) + "\n")
    pipe.flush()


def spread_over(
    steps: Iterable[dict[str, Any]],
    take: Callable[[dict[str, Any], Callable[[Ended], list[Kill]]], int],
    rng: random.Random,
    count: int,
    names: Sequence[str],
) -> int:
    """How many kills struck in all: `take` does each step with `count` kills all over it."""
    choose = partial(spread, rng, count, names=names)
    return sum(take(step, choose) for step in steps)


def run_program(
    work: Callable[[dict[str, Any]], None],
    imports: Iterable[str],
    prepare: Callable[[], None] = lambda: None,
) -> None:
    """Import everything once for all children, in one thread, and serve."""
    import torch

    torch.set_num_threads(1)
    for name in imports:
        importlib.import_module(name)
    prepare()
    serve(work)


def serve(work: Callable[[dict[str, Any]], None]) -> None:
    """Answer requests by `work` in a child each, until there are no more."""
    for line in sys.stdin:
        request = json.loads(line)
        kill = None if request["kill"] is None else Kill(**request["kill"])
        say(sys.stdout, asdict(fork(work, request, kill)))


def fork(
    work: Callable[[dict[str, Any]], None], request: dict[str, Any], kill: Kill | None
) -> Ended:
    """Work in a child, and wait for its end."""
    threads = Path("/proc/self/task")
    assert not threads.is_dir() or len(list(threads.iterdir())) == 1
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        run_in_child(work, request, kill, writing)
    os.close(writing)
    return attend(child, reading, kill)


def run_in_child(
    work: Callable[[dict[str, Any]], None], request: dict[str, Any], kill: Kill | None, pipe: int
) -> None:
    """Say when the call of the kill is reached, or die there; at the end say what was called."""

    def begun() -> None:
        os.write(pipe, BEGUN)

    try:
        if kill is None:
            failpoints = Failpoints(1, begun)
        else:
            act = kills.die if kill.seconds is None else begun
            failpoints = Failpoints(kill.at, act, kill.call)
        kills.install(failpoints)
        work(request)
        os.write(pipe, json.dumps(Counter(failpoints.calls)).encode())
    except BaseException:  # noqa: BLE001 - nothing of the parent's may run in its copy
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def attend(child: int, pipe: int, kill: Kill | None) -> Ended:
    """Kill the child if that is to come from outside, and wait for its end."""
    with os.fdopen(pipe, "rb") as said:
        begun = said.read(1) == BEGUN
        start = time.monotonic()
        if begun and kill is not None and kill.seconds is not None:
            time.sleep(kill.seconds)
            os.kill(child, signal.SIGKILL)
        calls = json.loads(said.read() or "{}") if begun and kill is None else {}
    seconds = time.monotonic() - start
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), calls, seconds)
