"""Closed streams, readers that go away, Windows, and what the log keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended

PROGRAM = f"{sys.executable} -m ghosttrack_cli"


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_as_dev_null(closed: str, environment: None) -> None:
    assert shell(f"{PROGRAM} config init {closed}").returncode == 0
    assert Path("ghosttrack.toml").read_text().startswith("# The settings")
    refused = shell(f"{PROGRAM} train --epochs -1 {closed}")
    assert refused.returncode == 2
    assert ("epochs" in refused.stderr) == ("2>" not in closed)
    assert {path.name for path in Path.cwd().iterdir()} == {"ghosttrack.toml"}


def test_a_reader_that_goes_away_ends_it_without_a_word(environment: None) -> None:
    ended = shell(f"set -o pipefail; {PROGRAM} config show --json | head -1")
    assert ended.returncode in {0, 141}
    assert ended.stderr == ""
    assert ended.stdout == "{\n"


WINDOWS = """
import sys
sys.modules["fcntl"] = None
import ghosttrack_cli, ghosttrack_cli.cli.terminal.console, ghosttrack_cli.cli.failures
from ghosttrack_cli.cli.app import run_program
sys.platform = "win32"
sys.exit(run_program(["status", *sys.argv[1:]]))
"""


def test_windows_is_told_at_once_what_is_supported(environment: None) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WINDOWS], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 3
    assert ended.stderr == (
        "error: Windows is not supported: locks and durable writes are those of Linux and macOS\n"
        "hint: use Linux, macOS, or WSL 2, which is Linux (untested)\n"
    )


def test_the_log_has_versions_notices_and_errors(
    tiny_model: Path, texts: Path, environment: None, ghosttrack: Callable[..., Ended]
) -> None:
    source = ("--model", str(tiny_model), "--corpus", str(texts), "--context-length", "32")
    assert ghosttrack("extract", *source, "--layer", "0", "--tokens", "2k").code == 0
    assert ghosttrack("extract", "--context-length", "16").code == 3
    assert ghosttrack("extract").code == 0
    log = Path("ghosttrack-data/ghosttrack.log").read_text()
    for words in (
        "started: ghosttrack extract --layer",
        "with ghosttrack 0.1.0, Python 3.",
        "torch 2.",
        "error: the store was made with",
        "note: nothing to do: 2,000 tokens are stored",
        "ended with 3 after",
    ):
        assert words in log, words


def test_the_log_is_bounded(
    environment: None, monkeypatch: pytest.MonkeyPatch, ghosttrack: Callable[..., Ended]
) -> None:
    monkeypatch.setattr("ghosttrack_cli.cli.session.LOG_BYTES", 2000)
    Path("ghosttrack-data").mkdir()
    for _ in range(12):
        assert ghosttrack("train").code == 3
    sizes = {path.name: path.stat().st_size for path in Path("ghosttrack-data").glob("*.log*")}
    assert sizes.keys() == {"ghosttrack.log", "ghosttrack.log.1"}
    assert max(sizes.values()) < 2600
