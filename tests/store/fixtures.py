"""Fixtures that make small stores fast and full of structure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.store import kills, synthetic

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def no_fsync() -> Iterator[None]:
    """Write without waiting for the disk."""
    kills.install(kills.Failpoints(0, kills.never))
    yield
    kills.uninstall()


@pytest.fixture
def small_segments() -> Iterator[None]:
    """Segments of four chunks."""
    synthetic.use_small_segments(4)
    yield
    synthetic.use_small_segments(64)
