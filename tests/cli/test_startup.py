"""The program starts about as fast as a bare Typer app, and ends at once with its own code."""

from __future__ import annotations

import os
import statistics
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
ROUNDS = 7


def cpu_seconds(arguments: list[str]) -> float:
    """Processor time of a run: unlike the clock's, it hardly depends on what else runs."""
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_help_starts_like_a_bare_app(tmp_path: Path) -> None:
    bare = tmp_path / "bare.py"
    bare.write_text(BARE)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(cpu_seconds([str(bare), "--help"]))
        ours.append(cpu_seconds(["-m", "ghosttrack_cli", "--help"]))
    assert statistics.median(ours) < 1.5 * statistics.median(theirs)


def test_status_reads_manifests_only(tmp_path: Path) -> None:
    arguments = ["-m", "ghosttrack_cli", "status", "--workspace", str(tmp_path / "empty")]
    bare = tmp_path / "bare.py"
    bare.write_text(BARE)
    rounds = [(cpu_seconds(arguments), cpu_seconds([str(bare), "--help"])) for _ in range(ROUNDS)]
    # A bare app takes 0.16 s where this was measured; half a second is three times that.
    assert statistics.median(ours for ours, _ in rounds) < 3 * statistics.median(
        theirs for _, theirs in rounds
    )


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
