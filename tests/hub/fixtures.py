"""The stand-in of the hub as fixtures: `hub` works again at the start of each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.hub.repositories import build_hub
from tests.hub.server import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def hub_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the repositories of the stand-in; copy it before changing anything."""
    return build_hub(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="session")
def _hub_server(hub_root: Path) -> Iterator[Hub]:
    with Hub(hub_root) as hub:
        yield hub


@pytest.fixture
def hub(_hub_server: Hub) -> Iterator[Hub]:
    """A hub on this machine that works; `hub.fail(...)` and `hub.environment(home)`."""
    _hub_server.heal()
    yield _hub_server
    _hub_server.heal()
