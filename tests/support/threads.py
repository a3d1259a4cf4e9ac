"""One thread for small tensors: bits and times do not depend on what else the machine does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ghosttrack_cli.machine.devices import torch_threads

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread around a test."""
    with torch_threads(1):
        yield


@pytest.fixture(scope="session")
def one_thread_throughout() -> Iterator[None]:
    """From the first such test on: what a session shares is made with one thread too."""
    with torch_threads(1):
        yield
