"""A hub that fails in the middle of an extraction: waited for, or given up without any loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.files import Tree, tree

from ghosttrack_cli.errors import HubError
from ghosttrack_cli.store.format.commit_record import read_commit
from ghosttrack_cli.store.read.reader import ActivationStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Clock
    from tests.extraction.conftest import Extraction
    from tests.hub.server import FaultKind, Hub

TOKENS = 100_000
WIKIPEDIA: dict[str, Any] = {
    "corpus_source": "wikipedia",
    "corpus_language": "nds",  # three files, of which the third is needed for so many tokens
    "layers": "0,2",
    "tokens": TOKENS,
}
WORDS: list[tuple[FaultKind, str]] = [
    (429, "rate limit was reached (HTTP 429)"),
    (503, "unavailable (HTTP 503)"),
    ("drop", "connection to the hub lost"),
    ("hang", "the hub does not answer"),
]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghosttrack_cli.hub.fail_fast.READ_SECONDS", 0.5)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.5)


@pytest.fixture
def undisturbed(
    hub_here: Hub, make_extraction: Callable[[Path], Extraction], tmp_path: Path
) -> Tree:
    """The store of a run that saw no fault."""
    result = make_extraction(tmp_path / "undisturbed")(**WIKIPEDIA)
    assert result.rows == TOKENS
    found: Tree = tree(result.store)
    return found


@pytest.mark.parametrize(("kind", "words"), WORDS, ids=[str(kind) for kind, _ in WORDS])
def test_a_hub_that_comes_back_leaves_no_trace_in_the_store(
    kind: FaultKind,
    words: str,
    hub_here: Hub,
    clock: Clock,
    extraction: Extraction,
    undisturbed: Tree,
) -> None:
    hub_here.fail(kind, path=".parquet", skip=1, times=3)
    result = extraction(**WIKIPEDIA)
    *waiting, back = extraction.notices
    assert len(waiting) == 3
    assert all(words in notice and "; trying again in " in notice for notice in waiting)
    assert "not found" not in " ".join(waiting)
    assert back == "the hub is back, resuming"
    assert 3.5 <= clock.now <= 10.5  # 1, 2 and 4 seconds, each times 0.5 to 1.5
    assert clock.now != 7
    assert tree(result.store) == undisturbed


@pytest.mark.parametrize(("kind", "words"), WORDS[1:3], ids=["503", "drop"])
def test_a_hub_that_is_given_up_costs_only_the_time(
    kind: FaultKind,
    words: str,
    hub_here: Hub,
    clock: Clock,
    extraction: Extraction,
    undisturbed: Tree,
) -> None:
    hub_here.fail(kind, path=".parquet", skip=1)
    with pytest.raises(HubError) as caught:
        extraction(**WIKIPEDIA, retry_minutes=1)
    assert words in caught.value.what
    assert "not found" not in caught.value.what
    assert 60 <= clock.now <= 60 + 1.5 * 60
    commit = read_commit(extraction.workspace.store)
    assert 0 < commit.rows < TOKENS
    assert set(commit.layers.values()) == {commit.rows}
    assert ActivationStore.open(extraction.workspace.store).verify() == []
    hub_here.heal()
    result = extraction(**WIKIPEDIA)
    assert f"resuming at {commit.rows:,} of {TOKENS:,} tokens" in extraction.notices
    assert tree(result.store) == undisturbed
