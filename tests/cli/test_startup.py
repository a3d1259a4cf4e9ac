"""The program starts about as fast as a bare Typer app, and ends at once with its own code."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

BARE = '''
import typer

app = typer.Typer()


@app.callback()
def root() -> None:
    """A bare app."""


@app.command()
def one() -> None:
    """One command."""


app()
'''
LEAST, MOST = 3, 20
"""Rounds: as few as show the limit kept."""


def cpu_seconds(arguments: list[str]) -> float:
    """Processor time of a run."""
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def times_a_bare_app(folder: Path, arguments: list[str], limit: float) -> float:
    """The least that a command took, in what a bare app took at least; stops below `limit`.

    Whatever else the machine does only adds to a time, so that the least of several is the
    command's own.
    """
    bare = folder / "bare.py"
    bare.write_text(BARE)
    ours = theirs = math.inf
    for number in range(1, MOST + 1):
        theirs = min(theirs, cpu_seconds([str(bare), "--help"]))
        ours = min(ours, cpu_seconds(["-m", "ghosttrack_cli", *arguments]))
        if number >= LEAST and ours < limit * theirs:
            break
    return ours / theirs


def test_help_starts_like_a_bare_app(tmp_path: Path) -> None:
    assert times_a_bare_app(tmp_path, ["--help"], 1.5) < 1.5


def test_status_reads_manifests_only(tmp_path: Path) -> None:
    # A bare app takes 0.16 s where this was measured; half a second is three times that.
    status = ["status", "--workspace", str(tmp_path / "empty")]
    assert times_a_bare_app(tmp_path, status, 3) < 3


BUSY = """
import sys, threading, time
from ghosttrack_cli.cli.app import main

threading.Thread(target=time.sleep, args=(600,)).start()
sys.argv = ["ghosttrack", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["nothing"], 2)])
def test_a_thread_of_a_library_does_not_hold_up_the_end(arguments: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUSY, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code
    assert ("ghosttrack " in done.stdout) == (code == 0)
    assert ("error: " in done.stderr) == (code == 2)


def test_output_that_cannot_be_written_is_a_failure() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    with full.open("w") as out:
        done = subprocess.run(
            [sys.executable, "-m", "ghosttrack_cli", "--version"],
            check=False,
            stdout=out,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
    assert done.returncode == 1
