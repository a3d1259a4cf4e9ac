"""Running the installed command as a user does."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parents[2]
DEMO_MODEL = ROOT / "src" / "ghosttrack_cli" / "demo"
LIMIT_SECONDS = 280


@dataclass(frozen=True)
class Shell:
    """A folder and an environment in which commands run one after the other."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, command: str, *, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `ghosttrack ...` as written and hold it to its exit code."""
        program, *arguments = shlex.split(command)
        assert program == "ghosttrack", command
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ghosttrack")), *arguments],
            cwd=self.folder,
            env={**_clean_environment(), **self.environment},
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
        return done


def _clean_environment() -> dict[str, str]:
    ours = ("GHOSTTRACK_", "HF_", "NO_COLOR", "COLUMNS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """An empty folder with the environment as it is, without anyone's GhostTrack settings."""
    return Shell(tmp_path)


@pytest.fixture
def make_shell(tmp_path: Path) -> Callable[[Mapping[str, str]], Shell]:
    """`make_shell(environment)`: an empty folder with variables of its own."""
    return lambda environment: Shell(tmp_path, environment)


@pytest.fixture(scope="session")
def readme_commands() -> tuple[str, ...]:
    """Every `ghosttrack ...` line of the README's code blocks, as written, in order."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:bash|sh|console)?\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return tuple(line for line in lines if line.startswith("ghosttrack "))
