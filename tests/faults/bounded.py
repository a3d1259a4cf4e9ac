"""Many cases in a child process that has little memory and little time for each."""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import GhostTrackError

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_BYTES = 2**29
MOST_SECONDS = 5
"""Of the processor, so that what else the machine does decides nothing."""
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Outcome:
    """How many cases were read, how many refused, and the first that ended otherwise."""

    read: int
    refused: int
    failure: str | None


class Hanging(BaseException):
    """A case took longer than MOST_SECONDS."""


def run_cases(cases: int, one: Callable[[int], Any]) -> Outcome:
    """`one(number)` for each case, in a fork: an error of ours refuses, any other is a failure.

    An allocation of more than MOST_BYTES beyond what the process had is a failure too.
    """
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        _answer(send, cases, one)
    os.close(send)
    with os.fdopen(receive, "rb") as answers:
        said = answers.read()
    _, status = os.waitpid(child, 0)
    if not said:
        return Outcome(0, 0, f"the process ended with {status}")
    return Outcome(**json.loads(said))


def _answer(send: int, cases: int, one: Callable[[int], Any]) -> None:
    try:
        outcome = _run(cases, one)
        os.write(send, json.dumps(vars(outcome)).encode())
    finally:
        os._exit(0)


def _run(cases: int, one: Callable[[int], Any]) -> Outcome:
    gc.collect()
    have = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
    resource.setrlimit(resource.RLIMIT_AS, (have + MOST_BYTES, have + MOST_BYTES))
    signal.signal(signal.SIGPROF, _hang)
    counts = {True: 0, False: 0}
    for number in range(cases):
        signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
        try:
            one(number)
            counts[True] += 1
        except GhostTrackError:
            counts[False] += 1
        except BaseException:  # noqa: BLE001 - whatever else is what is looked for
            signal.setitimer(signal.ITIMER_PROF, 0)
            return Outcome(counts[True], counts[False], f"case {number}: {traceback.format_exc()}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return Outcome(counts[True], counts[False], None)


def _hang(*_: object) -> None:
    raise Hanging
