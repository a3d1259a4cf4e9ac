"""Whole extractions that are killed: one process imports everything, and forks for each of them.

As a program, `python -m tests.extraction.forks` reads requests from its input, a line of JSON
each, and answers in the same way. Its imports take seconds, an extraction a tenth of one.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tests.store import kills, synthetic
from tests.store.kills import Failpoints, Kill

from ghosttrack_cli.files import staging
from ghosttrack_cli.settings import CorpusSettings, ExtractionSettings, ModelSettings
from ghosttrack_cli.store import committer
from ghosttrack_cli.store.identity import StoreIdentity
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from typing import Self

CHUNK_ROWS = 512
LATER_IMPORTS = [
    "ghosttrack_cli.extraction.run",
    "ghosttrack_cli.text.local",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.gpt2.modeling_gpt2",
]
BEGUN = b"!"


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit status, and of a whole one its calls and seconds since the first."""

    status: int
    calls: dict[str, int]
    seconds: float


class Forks:
    """The other end of the program."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.extraction.forks"],
            cwd=Path(__file__).parents[2],
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

    def run(self, settings: tuple[Any, ...], kill: Kill | None = None) -> Ended:
        """Extract with these arguments of `extract`."""
        *sections, workspace = settings
        request = {
            "sections": [section.model_dump(mode="json") for section in sections],
            "workspace": str(workspace.root),
            "kill": None if kill is None else asdict(kill),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        say(self._process.stdin, request)
        ended = Ended(**json.loads(self._process.stdout.readline()))
        assert ended.status == 0 or (kill is not None and ended.status == -signal.SIGKILL)
        return ended


def say(pipe: IO[str], document: dict[str, Any]) -> None:
    pipe.write(json.dumps(document) + "\n")
    pipe.flush()


def use_small_parts() -> None:
    """Small chunks, segments, commits and buffers, so that a short run has many of them."""
    from ghosttrack_cli.extraction import task

    task.StoreIdentity = partial(StoreIdentity, chunk_rows=CHUNK_ROWS)  # type: ignore[assignment, attr-defined]
    synthetic.use_small_segments()
    committer.COMMIT_CHUNKS, committer.COMMIT_SECONDS = 2, math.inf
    staging.BUFFER_BYTES = 2 * staging.BLOCK_BYTES


def main() -> None:
    import torch

    torch.set_num_threads(1)
    for name in LATER_IMPORTS:
        importlib.import_module(name)
    use_small_parts()
    for line in sys.stdin:
        request = json.loads(line)
        kill = None if request["kill"] is None else Kill(**request["kill"])
        say(sys.stdout, asdict(fork(request, kill)))


def fork(request: dict[str, Any], kill: Kill | None) -> Ended:
    """Extract in a child, and wait for its end."""
    threads = Path("/proc/self/task")
    assert not threads.is_dir() or len(list(threads.iterdir())) == 1
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        run_in_child(request, kill, writing)
    os.close(writing)
    return attend(child, reading, kill)


def run_in_child(request: dict[str, Any], kill: Kill | None, pipe: int) -> None:
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
        extract(request)
        os.write(pipe, json.dumps(Counter(failpoints.calls)).encode())
    except BaseException:  # noqa: BLE001 - nothing of the parent's may run in its copy
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def extract(request: dict[str, Any]) -> None:
    from ghosttrack_cli.extraction.extract import extract

    model, corpus, extraction = request["sections"]
    extract(
        ModelSettings(**model),
        CorpusSettings(**corpus),
        ExtractionSettings(**extraction),
        Workspace(Path(request["workspace"])),
    )


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


if __name__ == "__main__":
    main()
