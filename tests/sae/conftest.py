"""One thread for small tensors."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Many are slower here, and far slower on a busy machine."""
