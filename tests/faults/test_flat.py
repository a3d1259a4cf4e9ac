"""A run of eight hours takes no more memory, files or threads at its end than at its beginning."""

from __future__ import annotations

import gc
import io
import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli.cli.terminal.console import Console
from ghosttrack_cli.extraction.stage import extract
from ghosttrack_cli.monitor import Monitor, Progress
from ghosttrack_cli.settings.schema import (
    CorpusSettings,
    ExtractionSettings,
    ModelSettings,
    SAESettings,
    SAETrainingSettings,
)
from ghosttrack_cli.stage_request import StageRequest
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from tests.conftest import Clock

pytestmark = pytest.mark.faults

HOURS = 8
WARM_UP, TOLERATED_BYTES = 0.4, 24 * 2**20
BEING_WRITTEN = 8
"""Files that are open at one instant and not at another: chunks on their way to the disk."""
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Samples:
    """Memory, open files and threads of this process at each report."""

    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def take(self, _: Any = None) -> None:
        self.memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * PAGE)
        self.files.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - a number is wanted
        self.threads.append(threading.active_count())

    def check(self) -> None:
        """Nothing grows once everything has been used for a while."""
        assert len(self.memory) > 20
        warm = int(len(self.memory) * WARM_UP)
        assert max(self.memory[warm:]) - self.memory[warm] < TOLERATED_BYTES, self.memory[::20]
        assert max(self.files[warm:]) <= max(self.files[:warm]) + BEING_WRITTEN, self.files[::20]
        assert max(self.threads[warm:]) <= max(self.threads[:warm]), self.threads[::20]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two million tokens, one a byte."""
    path = tmp_path_factory.mktemp("hours") / "texts.jsonl"
    with path.open("w") as file:
        for number in range(4000):
            file.write(
                json.dumps({"text": f"Document {number} tells of {number * 7919}. " * 16}) + "\n"
            )
    return path


@pytest.fixture(scope="module")
def stored(
    texts: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, Samples]:
    """A store of 600,000 rows, and what the process had while it grew."""
    samples, workspace = Samples(), Workspace(tmp_path_factory.mktemp("hours") / "data")
    request = StageRequest(
        ModelSettings(name=str(tiny_model), device="cpu"),
        CorpusSettings(source=str(texts)),
        ExtractionSettings(layers="1", tokens=600_000, batch_size=16),
        workspace,
    )
    extract(request, Monitor(samples.take))
    return workspace, samples


@pytest.mark.timeout(600)
def test_extraction_stays_flat(stored: tuple[Workspace, Samples]) -> None:
    stored[1].check()


@pytest.mark.timeout(600)
def test_training_stays_flat(stored: tuple[Workspace, Samples]) -> None:
    from ghosttrack_cli.store.read.reader import ActivationStore
    from ghosttrack_cli.training.trainer import Trainer

    workspace, samples = stored[0], Samples()
    gc.collect()
    Trainer(
        ActivationStore.open(workspace.store),
        1,
        SAESettings(d_hidden=32, target_l0=6),
        SAETrainingSettings(epochs=4, batch_size=256, evaluations=60, device="cpu"),
        workspace,
        Monitor(samples.take),
    ).run()
    samples.check()


def test_eight_hours_of_progress_stay_flat(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """One report a second, on a terminal and in a pipe."""
    samples = Samples()
    for terminal in (False, True):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda terminal=terminal: terminal)
        monkeypatch.setattr("sys.stderr", stream)
        with Console().progress("extract") as (_, report):
            for second in range(HOURS * 3600):
                clock.now += 1
                report(Progress("tokens", second, HOURS * 3600, "tokens", {"loss": second / 7}))
                if second % 1000 == 0:
                    stream.truncate(0)
                    samples.take()
    samples.check()


def test_looking_for_hours_stays_flat(stored: tuple[Workspace, Samples]) -> None:
    """`status --watch` looks every two seconds; here 2,000 looks."""
    from ghosttrack_cli.status.gather import gather

    samples = Samples()
    for look in range(2000):
        gather(stored[0])
        if look % 20 == 0:
            samples.take()
    samples.check()
