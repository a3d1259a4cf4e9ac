"""A command that stops at a call: `python -m tests.faults.held AT CALL train ...`.

SIGSTOP comes at call number AT of those that are named CALL where files are written; SIGCONT lets
the command go on.
"""

from __future__ import annotations

import os
import signal
import sys

from tests.store import kills
from tests.store.kills import Failpoints

from ghosttrack_cli.cli.app import run_program


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def main() -> int:
    _, at, call, *command = sys.argv
    kills.install(Failpoints(int(at), stop, call))
    return run_program(command)


if __name__ == "__main__":
    sys.exit(main())
