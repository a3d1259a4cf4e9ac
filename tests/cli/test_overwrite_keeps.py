"""What is to be replaced stands as long as what replaces it cannot be written."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from tests.cli.plan_states import DATA, TRAINED, WIDER
from tests.store import kills
from tests.store.kills import Failing, Failpoints
from tests.support.files import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Ended

AT = (1, 3, 6)


@pytest.fixture
def _no_fsync() -> Iterator[None]:
    kills.install(Failpoints(0, kills.never))
    yield
    kills.uninstall()


@pytest.fixture
def reported(
    tiny_model: Path, texts: Path, ghosttrack: Callable[..., Ended], _no_fsync: None
) -> dict[str, bytes]:
    """A workspace with a store, an SAE, its report and its export: its files."""
    base = ("--model", tiny_model, "--corpus", texts, "--layers", "0", "--tokens", "2k")
    assert ghosttrack("extract", *base, "--context-length", "32").code == 0
    for command in (("train", *TRAINED), ("interpret",), ("export",)):
        assert ghosttrack(*command).code == 0
    files = tree(DATA, without={".log", ".lock"})
    del files["settings/train.json"]  # a begun retraining is remembered
    return files


COMMANDS = (
    ("extract", "--tokens", "1k", "--overwrite", "--yes"),
    ("train", *WIDER, "--overwrite", "--yes"),
    ("interpret", "--top-examples", "3", "--overwrite", "--yes"),
    ("export", "--checkpoint", "final"),
)


def test_a_disk_that_fails_from_early_on(
    reported: dict[str, bytes], ghosttrack: Callable[..., Ended]
) -> None:
    for command in COMMANDS:
        for at in AT:
            failing = Failing(at, errno.EIO, for_good=True)
            kills.install(failing)
            ended = ghosttrack(*command)
            kills.install(Failpoints(0, kills.never))
            assert (failing.failed, ended.code) == (True, 1), (command, at, ended.err)
            assert "Input/output error" in ended.err
            settle(ghosttrack)
            now = tree(DATA, without={".log", ".lock", ".partial"})
            assert {name: now.get(name) for name in reported} == reported, (command, at)


def settle(ghosttrack: Callable[..., Ended]) -> None:
    """Where the disk failed for good, the next extraction puts the earlier store back."""
    assert ghosttrack("status").code == 0
    assert ghosttrack("extract").code == 0
    assert "nothing to do" in ghosttrack("extract").err
