"""Every second of a long command is in a part of it that a person can read, and none is full early.

Each function that takes long with a real model takes ten seconds of a clock that only they move.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.support.settings import small_settings

from ghosttrack_cli.cli.terminal import console
from ghosttrack_cli.cli.terminal.board import Board
from ghosttrack_cli.machine import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended

TAKES = 10.0
SLOW: dict[str, dict[str, str | tuple[str, ...]]] = {
    "extract": {
        "extraction.stage.plan": "checking model, text and disk",
        "model.residual.ResidualModel.load_found": "loading model",
        "text.corpus.open_corpus": "checking model, text and disk",
        "extraction.run.batch_size.probe": "choosing the batch size",
        "extraction.run._write": "tokens",
        "store.write.writer.StoreWriter.seal": "writing the last chunks",
    },
    "train": {
        "store.read.reader.ActivationStore.open": "opening the store",
        "training.trainer.load_checkpoint": "opening",
        "training.rows.survey.row_mask": "survey",
        "store.read.batches.RowBatches._loaded": "reading rows",
        "training.engines.cpu.CpuEngine.step": "steps",
        "training.session.Session._evaluate": "steps",
        "training.session.Session.save": ("steps", "saving"),
        "training.final_sae.count_ratios": "calibrating thresholds",
        "training.final_sae.count_firings": "counting firings",
        "training.records.history.History.write": ("steps", "writing"),
    },
    "interpret --dry-run": {
        "model.residual.ResidualModel.load": "loading model",
        "interpretation.stage.open_source": "opening texts",
        "interpretation.plan.Probe": "timing a little of the work",
    },
    "interpret": {
        "model.residual.ResidualModel.load": "loading model",
        "interpretation.stage.open_source": "opening texts",
        "interpretation.stage.load_job": "loading SAEs",
        "interpretation.stage.Stage.weight_facts": "weights",
        "interpretation.collect.layer_pass.LayerPass.update": "rows",
        "interpretation.features.loss_recovered._add": "losses",
        "interpretation.features.feature_reports.FeatureBuilder.feature": "describing features",
        "interpretation.features.layer_report._report": "writing report",
        "interpretation.stage.write_browser": "page",
    },
    "export": {"export.dictionary_learning.export_sae": "SAEs"},
    "status --verify": {"store.format.chunks.find_fault": "verifying"},
    "extract --repair": {
        "store.format.chunks.find_fault": "verifying",
        "model.residual.ResidualModel.load": "loading model",
        "extraction.repair.open_corpus": "opening corpus",
        "extraction.repair._put": "bad chunks",
    },
    "interpret prompt hello": {
        "model.residual.ResidualModel.load": "loading model",
        "interpretation.prompt.explain_prompt": "features",
        "interpretation.prompt.write_browser": "page",
    },
}


class Seen(NamedTuple):
    """A slow function that was called while a board stood so."""

    function: str
    part: str | None
    share: float | None
    whole: float


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], list[Seen]]:
    """`watched(functions)`: what stands on the board whenever one of them is called."""
    now, boards, seen = [0.0], [], list[Seen]()

    class WatchedBoard(Board):
        def __init__(self, stage: str) -> None:
            super().__init__(stage)
            boards.append(self)

    def slow(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def function(*arguments: Any, **named: Any) -> Any:
            standing = boards[-1].standing() if boards else None
            part, share = (standing.part.name, standing.share) if standing else (None, None)
            seen.append(Seen(name, part, share, standing.whole if standing else 0.0))
            now[0] += TAKES
            return real(*arguments, **named)

        return function

    def watch(functions: dict[str, Any]) -> list[Seen]:
        for name in functions:
            module, _, attribute = name.rpartition(".")
            try:
                owner: Any = importlib.import_module(f"ghosttrack_cli.{module}")
            except ModuleNotFoundError:
                module, _, holder = module.rpartition(".")
                owner = getattr(importlib.import_module(f"ghosttrack_cli.{module}"), holder)
            real = owner.__dict__[attribute]
            wrapped: Any = slow(name, getattr(real, "__func__", real))
            kind = type(real) if isinstance(real, classmethod | staticmethod) else None
            monkeypatch.setattr(owner, attribute, kind(wrapped) if kind else wrapped)
        return seen

    monkeypatch.setattr(console, "Board", WatchedBoard)
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    return watch


@pytest.fixture
def small(tiny_model: Path, texts: Path, environment: None) -> list[str]:
    """Settings for two layers of the tiny model; the options of the first extraction."""
    settings = small_settings(
        extraction={"batch_size": None}, sae_training={"epochs": 2, "layers_at_once": 1}
    )
    Path("ghosttrack.toml").write_text(settings)
    return ["--model", str(tiny_model), "--corpus", str(texts), "--layers", "0,2", "--tokens", "2k"]


def spoil_a_chunk() -> None:
    chunk = next(Path("ghosttrack-data").glob("*.zarr/layers/00/resid_post/c/0/0"))
    chunk.write_bytes(bytes(len(chunk.read_bytes())))


def test_whatever_takes_long_is_in_its_part(
    small: list[str],
    ghosttrack: Callable[..., Ended],
    watched: Callable[[dict[str, Any]], list[Seen]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for command, functions in SLOW.items():
        if "--repair" in command:
            spoil_a_chunk()
        with monkeypatch.context():
            seen = watched(functions)
            before = len(seen)
            words = [*command.split(), *(small if command == "extract" else [])]
            ended = ghosttrack(*words)
        assert ended.code == 0, ended.err
        assert ": loading libraries" in ended.err, "said before anything heavy is imported"
        called = [one for one in seen[before:] if one.function in functions]
        assert {one.function for one in called} == set(functions), command
        for one in called:
            expected = functions[one.function]
            allowed = (expected,) if isinstance(expected, str) else expected
            assert one.part in allowed, (command, one)
            assert one.share is None or one.share < 1, (command, one)
            assert one.whole < 1, (command, one)
        wholes = [one.whole for one in called]
        assert wholes == sorted(wholes), command
