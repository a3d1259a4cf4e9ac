"""Whatever stops an extraction, the rerun's store equals that of a run never stopped."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.support.files import Tree, tree

from ghosttrack_cli.errors import HubError, ModelError, Stopped
from ghosttrack_cli.extraction.api import HiddenStateExtractor
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.store.format.commit_record import has_store, read_commit
from ghosttrack_cli.text.corpus import open_corpus
from ghosttrack_cli.text.windows import TokenWindows
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BATCHES = 10


@pytest.fixture(scope="session")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory,
    make_extraction: Callable[[Path], Any],
) -> Tree:
    """The store of layers 0 and 2, 20,000 tokens, in one go."""
    extraction = make_extraction(tmp_path_factory.mktemp("whole"))
    return tree(extraction(layers="0,2").store)


@pytest.mark.parametrize("seed", range(3))
def test_stopped_by_signals_at_random_points(
    seed: int, extraction: Any, uninterrupted: Tree
) -> None:
    rng = random.Random(seed)
    for _ in range(rng.randint(2, 3)):
        calls, stop_at = count(), rng.randint(0, BATCHES // 2)
        with pytest.raises(Stopped) as caught:
            extraction(
                layers="0,2",
                stop_signal=lambda calls=calls, at=stop_at: 15 if next(calls) >= at else None,
            )
        assert caught.value.exit_code == 143
    committed = read_commit(extraction.workspace.store).rows
    assert 0 < committed < 20_000
    result = extraction(layers="0,2")
    assert any("resuming at " in notice for notice in extraction.notices)
    assert tree(result.store) == uninterrupted


def test_a_stop_keeps_every_step_that_was_finished(extraction: Any) -> None:
    def stop() -> int | None:
        return 2 if extraction.reports and extraction.reports[-1].done > 8000 else None

    with pytest.raises(Stopped):
        extraction(stop_signal=stop)
    assert read_commit(extraction.workspace.store).rows == extraction.reports[-1].done == 8192


RUN = """
import sys
import torch
from pathlib import Path
from ghosttrack_cli.extraction.stage import extract
from ghosttrack_cli.monitor import Monitor
from ghosttrack_cli.settings.schema import CorpusSettings, ExtractionSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest
from ghosttrack_cli.workspace import Workspace

torch.set_num_threads(1)
model, texts, workspace = sys.argv[1:4]
request = StageRequest(
    ModelSettings(name=model, device="cpu"),
    CorpusSettings(source=texts, min_characters=1),
    ExtractionSettings(layers="0,2", tokens=20_000),
    Workspace(Path(workspace)),
)
extract(
    request,
    Monitor(progress=lambda p: (print(p.done, flush=True), sys.stdin.readline())),
)
"""


def test_killed_twice(extraction: Any, uninterrupted: Tree) -> None:
    """Each report waits for an answer, so that a slow machine cannot finish before the kill."""
    arguments = [str(extraction.model), str(extraction.texts), str(extraction.workspace.root)]
    rng = random.Random(os.getpid())
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(rng.randint(1, 4)):
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
        time.sleep(rng.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert has_store(extraction.workspace.store)
    assert tree(extraction(layers="0,2").store) == uninterrupted


def test_a_hub_that_goes_away_leaves_everything_committed(
    extraction: Any,
    uninterrupted: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches = TokenWindows.__iter__

    def lost(self: TokenWindows) -> Any:
        for index, batch in enumerate(batches(self)):
            if index == 5:
                raise HubError("gone")
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(TokenWindows, "__iter__", lost)
        with pytest.raises(HubError):
            extraction(layers="0,2")
    assert read_commit(extraction.workspace.store).rows == 5 * 2048
    assert tree(extraction(layers="0,2").store) == uninterrupted


class OutOfMemory:
    """Fails like a GPU when more than `limit` windows come at once, or at call number `at`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit: int, at: int = -1) -> None:
        self.real, self.limit, self.at, self.calls = ResidualModel.residuals, limit, at, 0
        monkeypatch.setattr(ResidualModel, "residuals", lambda *call: self.residuals(*call))  # noqa: PLW0108 - binds the model

    def residuals(self, model: ResidualModel, ids: torch.Tensor, layers: Any) -> Any:
        self.calls += 1
        if len(ids) > self.limit or self.calls == self.at:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.real(model, ids, layers)


def test_the_batch_size_is_halved_until_it_fits_and_recorded(
    extraction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    OutOfMemory(monkeypatch, limit=20)
    result = extraction(tokens=4000)
    assert (result.batch_size, result.rows) == (16, 4000)
    assert "trying 16" in extraction.notices[-1]
    assert read_commit(result.store).identity.batch_size == 16
    monkeypatch.undo()
    assert extraction(tokens=6000).batch_size == 16


def test_memory_that_ends_before_the_first_commit_halves_it_too(
    extraction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    OutOfMemory(monkeypatch, limit=64, at=3)
    result = extraction(tokens=4000)
    assert (result.batch_size, result.rows, result.complete) == (32, 4000, True)


def test_memory_that_ends_later_is_an_error_and_nothing_is_lost(
    extraction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    extraction(tokens=9000)
    OutOfMemory(monkeypatch, limit=64, at=2)
    with pytest.raises(ModelError, match="out of memory with 64 windows"):
        extraction(tokens=20_000)
    assert read_commit(extraction.workspace.store).rows >= 9000
    monkeypatch.undo()
    assert extraction(tokens=20_000).complete


def test_a_batch_size_that_was_asked_for_is_not_changed(
    extraction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    OutOfMemory(monkeypatch, limit=20)
    with pytest.raises(ModelError, match="out of memory with 64 windows") as caught:
        extraction(batch_size=64)
    assert "--batch-size" in str(caught.value.hint)


def test_not_even_one_window_fits(extraction: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    OutOfMemory(monkeypatch, limit=0)
    with pytest.raises(ModelError, match="one window does not fit"):
        extraction()


def test_the_seed_s_extractor(tiny_model: Path, extraction: Any) -> None:
    model_settings, corpus_settings, *_ = extraction.settings()
    model = ResidualModel.load(model_settings)
    root = extraction.workspace.root.parent / "seed"
    extractor = HiddenStateExtractor(model, open_corpus(corpus_settings), workspace=root)
    path = extractor.extract_for_layer(layer_idx=1, num_tokens=20_000)
    assert path == Workspace(root).store
    assert tree(path) == tree(extraction().store)
    with pytest.warns(UserWarning, match="resuming at 20,000 of 20,000 tokens"):
        paths = extractor.extract_all_layers(num_tokens=20_000)
    assert paths == {0: path, 1: path, 2: path}
    assert read_commit(path).layers == {0: 20_000, 1: 20_000, 2: 20_000}
