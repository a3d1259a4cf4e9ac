"""What the faults suite shares: the table at its end, and a pipeline on a tiny model."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.support.settings import small_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Said:
    """How a process ended and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Program:
    """The installed program in a folder with settings for a tiny model."""

    folder: Path
    environment: Mapping[str, str]

    def __call__(self, *arguments: str | Path) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "ghosttrack_cli", *map(str, arguments)],
            cwd=self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **self.environment},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=240,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Program]:
    """`program(NAME=value)`: the program in an empty folder with more environment."""
    (tmp_path / "ghosttrack.toml").write_text(small_settings())
    return lambda **environment: Program(tmp_path, environment)
