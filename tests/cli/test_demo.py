"""The demo, cut short: the real commands on the packaged model, in a scratch workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended


@pytest.mark.slow
def test_the_demo_ends_in_features_and_a_page(ghosttrack: Callable[..., Ended]) -> None:
    ended = ghosttrack("demo", "--tokens", "12k", "--epochs", "1", "--workspace", "scratch")
    assert ended.code == 0, ended.err
    for stage in ("1 of 3  extract", "2 of 3  train", "3 of 3  interpret"):
        assert stage in ended.err
    assert "12,000 of 12,000 rows a layer" in ended.out
    assert ended.out.count("top examples") == 3
    page = Path("scratch/interpretations/index.html")
    assert ended.out.splitlines()[-1] == f"open in a browser: {page}"
    assert page.is_file()

    settings = ("--config", "scratch/ghosttrack.toml")
    status = ghosttrack("status", *settings, "--json").document
    assert status["workspace"] == "scratch"
    assert [layer["layer"] for layer in status["layers"]] == [2, 4]
    assert status["next"] is None
    log = Path("scratch/ghosttrack.log").read_text()
    assert "started: ghosttrack demo" in log
    assert "ended with 0" in log
    again = ghosttrack("demo", "--tokens", "12k", "--epochs", "1", "--workspace", "scratch")
    assert again.code == 0
    assert again.err.count("nothing to do") == 5
    assert not Path("ghosttrack-data").exists()
