"""Command lines of another user: `python -m tests.faults.as_other_user WARM... -- LINE...`.

Lines before "--" are run first with the rights of whoever starts this: the other user may not
be able to read the modules that they import. Then comes one JSON list: exit code and both streams
of each line after it.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout

from ghosttrack_cli.cli.app import run_program

NOBODY = 65534


def run(line: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run_program(line.split())
    return code, out.getvalue(), err.getvalue()


def main() -> None:
    import ghosttrack_cli.extraction.run
    import ghosttrack_cli.training.side_by_side  # noqa: F401

    place = sys.argv.index("--")
    for line in sys.argv[1:place]:
        run(line)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    json.dump([run(line) for line in sys.argv[place + 1 :]], sys.stdout)


if __name__ == "__main__":
    main()
