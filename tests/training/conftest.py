"""Stores of planted features, and trainings on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ghosttrack_cli.monitor import Monitor, Progress
from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
from ghosttrack_cli.store.format.identity import StoreIdentity
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.store.write.writer import StoreWriter
from ghosttrack_cli.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ghosttrack_cli.workspace import Workspace

    Floats = NDArray[np.float32]

WINDOW = 32
DOCUMENT = 40
LAYER = 3


def planted_rows(
    rows: int, D: int = 32, F: int = 64, active: float = 4.0, seed: int = 0
) -> tuple[Floats, Floats]:
    """Rows (N, D) made of few of F unit directions, and those directions (F, D)."""
    random = np.random.default_rng(seed)
    directions = random.standard_normal((F, D))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    fires = random.random((rows, F)) < active / F
    values = fires * (1 + 0.3 * np.abs(random.standard_normal((rows, F))))
    noise = 0.01 * random.standard_normal((rows, D))
    offset = random.standard_normal(D) / np.sqrt(D)
    x = values @ directions + noise + 0.5 * offset
    return x.astype(np.float32), directions.astype(np.float32)


def write_store(
    path: Path,
    x: Floats,
    *,
    layers: Sequence[int] = (LAYER,),
    chunk_rows: int = 1024,
    special: int = 0,
    asked: int | None = None,
) -> None:
    """Write rows as a store: windows of 32 rows, documents of 40; later layers have them turned.

    With more rows `asked` for it is not complete.
    """
    identity = StoreIdentity(
        model="planted",
        model_revision=None,
        weights_sha256="0" * 64,
        tokenizer_sha256="0" * 64,
        special_token_ids=(special,),
        corpus={"kind": "planted"},
        context_length=WINDOW,
        batch_size=1,
        d_model=x.shape[1],
        dtype="float32",
        chunk_rows=chunk_rows,
    )
    numbers = np.arange(len(x))
    with StoreWriter.open(path, identity, layers, asked_rows=asked or len(x)) as writer:
        writer.append(
            {layer: np.roll(x, index, axis=1) for index, layer in enumerate(layers)},
            token_ids=(1 + numbers % 50).astype(np.int32),
            doc_ids=(numbers // DOCUMENT).astype(np.int64),
            positions=(numbers % WINDOW).astype(np.int32),
            cursor={"start": 0},
        )
        writer.seal(complete=asked is None, cursor={"end": len(x)})


@dataclass
class Bench:
    """A workspace with a store, and the settings of quick trainings on it."""

    workspace: Workspace
    directions: Floats = field(init=False)
    sae: SAESettings = field(default_factory=lambda: SAESettings(d_hidden=96, target_l0=4.0))
    training: SAETrainingSettings = field(
        default_factory=lambda: SAETrainingSettings(
            epochs=2,
            batch_size=256,
            target_sparsity_min=2.0,
            target_sparsity_max=8.0,
            evaluations=4,
            device="cpu",
        )
    )
    notices: list[str] = field(default_factory=list)
    reports: list[Progress] = field(default_factory=list)

    def plant(self, rows: int, **shape: Any) -> None:
        """Write planted rows as the store, or go on with more of them."""
        x, self.directions = planted_rows(rows, **shape)
        write_store(self.workspace.store, x)

    def store(self) -> ActivationStore:
        return ActivationStore.open(self.workspace.store)

    def trainer(
        self,
        *,
        stop: Callable[[], int | None] = lambda: None,
        overwrite: bool = False,
        workspace: Workspace | None = None,
        sae: dict[str, Any] | None = None,
        **training: Any,
    ) -> Trainer:
        monitor = Monitor(
            progress=self.reports.append, notice=self.notices.append, stop_signal=stop
        )
        return Trainer(
            self.store(),
            LAYER,
            self.sae.model_copy(update=sae or {}),
            self.training.model_copy(update=training),
            workspace or self.workspace,
            monitor,
            overwrite=overwrite,
        )


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Every training here, so that its bits do not depend on the machine."""


@pytest.fixture
def bench(workspace: Workspace, one_thread: None) -> Bench:
    """6,000 rows of 64 planted directions in 32 dimensions."""
    bench = Bench(workspace)
    bench.plant(6_000)
    return bench
