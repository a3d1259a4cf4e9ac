"""The program starts in less than 1.5 times the time of a bare Typer app."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

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
