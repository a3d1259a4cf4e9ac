"""Disks that are really small."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """`mounted(n)`: a folder on a disk of its own with n MB."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(megabytes: int) -> Path:
        options = ["-t", "tmpfs", "-o", f"size={megabytes}M", "tmpfs", str(folder)]
        if sys.platform != "linux" or subprocess.run(["mount", *options], check=False).returncode:
            pytest.skip("only root can mount a small disk, and only on Linux")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], check=False, capture_output=True)
