"""Fixtures that every area shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return Workspace(tmp_path / "ghosttrack-data")
