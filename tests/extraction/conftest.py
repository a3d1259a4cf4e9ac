"""A tiny model and small texts: an extraction here takes well under a second."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli.extraction.stage import extract
from ghosttrack_cli.monitor import Monitor
from ghosttrack_cli.settings.schema import CorpusSettings, ExtractionSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ghosttrack_cli.extraction.task import ExtractionResult
    from ghosttrack_cli.monitor import Progress
    from ghosttrack_cli.stage_request import ExtractionRequest

WORDS = [
    "ghost",
    "track",
    "layer",
    "feature",
    "norm",
    "stream",
    "window",
    "token",
    "café",
    "naïve",
    "語",
    "été",
]


def write_texts(folder: Path, *, documents: int, seed: int = 0) -> Path:
    """Documents of random lengths, one file each."""
    folder.mkdir()
    rng = random.Random(seed)
    for index in range(documents):
        words = rng.choices(WORDS, k=rng.randint(20, 400))
        (folder / f"{index:03d}.txt").write_text(" ".join(words), encoding="utf-8")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread_throughout: None) -> None:
    """Threads that wait for each other cost more than these models' arithmetic."""


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 60,000 tokens, one a byte, in 40 documents. Read only."""
    return write_texts(tmp_path_factory.mktemp("texts") / "corpus", documents=40)


@dataclass
class Extraction:
    """One command line's worth of settings; call it to run it."""

    model: Path
    texts: Path
    workspace: Workspace
    notices: list[str] = field(default_factory=list)
    reports: list[Progress] = field(default_factory=list)

    def __call__(
        self,
        *,
        stop_signal: Callable[[], int | None] = lambda: None,
        overwrite: bool = False,
        **changes: Any,
    ) -> ExtractionResult:
        monitor = Monitor(self.reports.append, self.notices.append, stop_signal)
        return extract(self.request(overwrite=overwrite, **changes), monitor)

    def request(self, *, overwrite: bool = False, **changes: Any) -> ExtractionRequest:
        """What the stage is told."""
        return StageRequest(*self.settings(**changes), overwrite=overwrite)

    def settings(
        self, **changes: Any
    ) -> tuple[ModelSettings, CorpusSettings, ExtractionSettings, Workspace]:
        """The parts of a request; `model_*` and `corpus_*` change settings of those sections."""
        model = {"name": str(self.model), "device": "cpu"}
        corpus: dict[str, Any] = {"source": str(self.texts), "min_characters": 1}
        extraction = {"layers": "1", "tokens": 20_000}
        for name, value in changes.items():
            section, _, key = name.partition("_")
            if section == "model" or (section == "corpus" and key):
                {"model": model, "corpus": corpus}[section][key] = value
            else:
                extraction[name] = value
        return (
            ModelSettings.model_validate(model),
            CorpusSettings.model_validate(corpus),
            ExtractionSettings.model_validate(extraction),
            self.workspace,
        )


@pytest.fixture
def extraction(tiny_model: Path, texts: Path, workspace: Workspace) -> Extraction:
    """Call it to extract layer 1, 20,000 tokens, into an empty workspace."""
    return Extraction(tiny_model, texts, workspace)


@pytest.fixture(scope="session")
def make_extraction(tiny_model: Path, texts: Path) -> Callable[[Path], Extraction]:
    """The same into a workspace of one's choice."""
    return lambda root: Extraction(tiny_model, texts, Workspace(root))
