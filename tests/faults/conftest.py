"""What the faults suite shares: the table at its end, and a pipeline on a tiny model."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.support.settings import small_settings

from ghosttrack_cli.cli.app import run_program
from ghosttrack_cli.workspace import Workspace

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


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Workspace:
    """A workspace that went through all stages, with two layers of a tiny model."""
    root = tmp_path_factory.mktemp("fuzz")
    texts = root / "texts.jsonl"
    texts.write_text(
        "".join(f'{{"text": "{f"Document {n} tells of {n * 7919}. " * 6}"}}\n' for n in range(60))
    )
    (root / "ghosttrack.toml").write_text(small_settings())
    common = ("--config", str(root / "ghosttrack.toml"), "--workspace", str(root / "data"), "-q")
    source = ("--model", str(tiny_model), "--corpus", str(texts))
    assert run_program(["run", *source, "--layers", "0,2", "--tokens", "3k", *common]) == 0
    return Workspace(root / "data")
