"""Running the program inside the test's process, and as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli.cli.app import run_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How a run ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        assert found["schema"] == 1
        return found

    @property
    def error(self) -> tuple[str, str]:
        """The last error and its hint."""
        what, hint = self.err.rstrip("\n").split("\n")[-2:]
        return what.removeprefix("error: "), hint.removeprefix("hint: ")

    @property
    def what(self) -> str:
        """The first line of the last error."""
        return self.err.rpartition("error: ")[2].splitlines()[0]

    @property
    def hint(self) -> str:
        """The hint of the last error."""
        return self.err.rpartition("hint: ")[2].strip()


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder, and an environment that is put back."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def ghosttrack(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """`ghosttrack("status", "--json")`: run a command line in this process."""

    def run(*arguments: str | Path) -> Ended:
        capsys.readouterr()
        code = run_program([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """`process("extract", ...)`: start a command line as a process of its own."""

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "ghosttrack_cli", *map(str, arguments)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Sixty short documents."""
    lines = [
        json.dumps({"text": f"Document {number} tells of number {number * 7919}. " * 6})
        for number in range(60)
    ]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path
