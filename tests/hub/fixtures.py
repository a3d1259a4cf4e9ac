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


@pytest.fixture
def hub_here(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """`hub` for the libraries in this very process, with a cache of its own."""
    import datasets
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    for name in vars(datasets.config):
        if name.startswith(("STREAMING_", "HF_UPDATE_")):
            monkeypatch.setattr(datasets.config, name, getattr(datasets.config, name))
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")
    yield hub
    set_client_factory(default_client_factory)
