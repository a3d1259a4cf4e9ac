"""Small corpora of made-up activations, and the collector run over them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest
import torch

import ghosttrack_cli
from ghosttrack_cli.interpretation import stage as interpret_stage
from ghosttrack_cli.interpretation.collect.collector import Collector, CollectorShape
from ghosttrack_cli.interpretation.collect.events import Block, Rows
from ghosttrack_cli.model.architectures import weight_of
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.monitor import SILENT, Monitor
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.settings.schema import CorpusSettings, InterpretationSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ghosttrack_cli.workspace import Workspace

DEMO = Path(ghosttrack_cli.__file__).parent / "demo"
VOCABULARY = 40


@dataclass(frozen=True)
class Planted:
    """Rows of a whole corpus and dense activations on them, (N, F)."""

    rows: Rows
    acts: npt.NDArray[np.float32]

    @property
    def d_hidden(self) -> int:
        return int(self.acts.shape[1])

    def neighbours(self) -> npt.NDArray[np.int64]:
        """The next two features, in a circle."""
        following: npt.NDArray[np.int64] = np.arange(self.d_hidden)[:, None] + np.array([1, 2])
        return following % self.d_hidden

    def part(self, start: int, stop: int) -> Planted:
        fields = {name: getattr(self.rows, name)[start:stop] for name in vars(self.rows)}
        return Planted(Rows(**fields), self.acts[start:stop])

    def borders(self, windows_a_batch: int) -> list[int]:
        """Where batches of so many windows begin, and the end."""
        starts = np.flatnonzero(np.diff(self.rows.windows, prepend=-1))
        return [*starts[::windows_a_batch].tolist(), len(self.rows)]


class MakePlanted(Protocol):
    def __call__(
        self, seed: int, *, windows: int = 12, features: int = 5, density: float = 0.3
    ) -> Planted: ...


class Collect(Protocol):
    def __call__(
        self,
        planted: Planted,
        *,
        windows_a_batch: int = 1000,
        block: int = 1000,
        collector: Collector | None = None,
        finish: bool = True,
    ) -> Collector: ...


def make_planted(
    seed: int, *, windows: int = 12, features: int = 5, density: float = 0.3
) -> Planted:
    """Windows of 1 to 12 rows; activations from a few values, so that there are ties."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 13, windows)
    n = int(lengths.sum())
    window = np.repeat(np.arange(windows), lengths)
    positions = np.concatenate([np.arange(length) for length in lengths])
    kept = rng.random(n) > 0.1
    rows = Rows(
        token_ids=rng.integers(0, VOCABULARY, n),
        numbers=np.sort(rng.choice(10 * n, n, replace=False)),
        windows=window,
        documents=window // 2,
        positions=positions,
        kept=kept,
        counted=kept & (rng.random(n) > 0.1),
        answers=np.where(positions < 2, 0, 1 + window % 2),
        questions=window // 2,
    )
    values = rng.choice([0.25, 0.5, 1.5, 3.0, 700.0], (n, features))
    acts = np.where(rng.random((n, features)) < density, values, 0)
    return Planted(rows, acts.astype(np.float32))


def collect(
    planted: Planted,
    *,
    windows_a_batch: int = 1000,
    block: int = 1000,
    collector: Collector | None = None,
    finish: bool = True,
) -> Collector:
    """Run the collector in batches of windows and blocks of features."""
    collector = collector or new_collector(planted)
    borders = planted.borders(windows_a_batch)
    for start, stop in pairwise(borders):
        batch = planted.part(start, stop)
        taken = []
        for first in range(0, planted.d_hidden, block):
            pre_acts = torch.from_numpy(batch.acts[:, first : first + block].T.copy())
            piece = Block(first, pre_acts, torch.zeros(pre_acts.shape[0], 1))
            taken.append(collector.take(batch.rows, piece, piece.events()))
        collector.end_batch(batch.rows, taken)
    if finish:
        collector.finish()
    return collector


def new_collector(planted: Planted) -> Collector:
    shape = CollectorShape(planted.d_hidden, VOCABULARY, kept=4, side=2, seed=7)
    return Collector(shape, planted.neighbours())


@pytest.fixture(name="make_planted", scope="session")
def make_planted_fixture() -> MakePlanted:
    return make_planted


@pytest.fixture(name="collect", scope="session")
def collect_fixture() -> Collect:
    return collect


@pytest.fixture(name="new_collector", scope="session")
def new_collector_fixture() -> object:
    return new_collector


TOKENS_PLANTED = 300
WIDTH = 64


@pytest.fixture(scope="session")
def planted_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of two blocks that change nothing: the residual stream is the token's embedding."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=4096,
        n_positions=48,
        n_embd=WIDTH,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    embeddings = torch.nn.functional.normalize(torch.randn(4096, WIDTH), dim=1)
    with torch.no_grad():
        model.transformer.wte.weight.copy_(embeddings)
        model.transformer.wpe.weight.zero_()
        for name, parameter in model.named_parameters():
            if ".c_proj." in name:
                parameter.zero_()
    folder = tmp_path_factory.mktemp("planted") / "planted-model"
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DEMO / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def planted_model(planted_model_folder: Path) -> ResidualModel:
    return ResidualModel.load(ModelSettings(name=str(planted_model_folder), device="cpu"))


@pytest.fixture(scope="session")
def demo_model() -> ResidualModel:
    """The packaged model, really trained."""
    return ResidualModel.load(ModelSettings(name=str(DEMO), device="cpu"))


@pytest.fixture(scope="session")
def planted_sae(planted_model: ResidualModel) -> JumpReLUSAE:
    """Feature i fires exactly on token i, with activation 1; the last feature is dead."""
    embeddings = weight_of(planted_model.model.get_input_embeddings())
    directions = torch.cat([embeddings[:TOKENS_PLANTED], torch.zeros(1, WIDTH)])
    F = len(directions)
    weights = {
        "W_enc": directions.T.contiguous(),
        "b_enc": torch.zeros(F),
        "W_dec": directions.clone(),
        "b_dec": torch.zeros(WIDTH),
        "threshold": torch.full((F,), 0.9),
    }
    return JumpReLUSAE.from_weights(weights)


@pytest.fixture
def planted_workspace(workspace: Workspace, planted_sae: JumpReLUSAE) -> Workspace:
    """A workspace with the planted SAE on both layers."""
    workspace.checkpoints.mkdir(parents=True)
    for layer in (0, 1):
        planted_sae.save(workspace.sae(layer, "best"))
    return workspace


@pytest.fixture(scope="session")
def documents() -> list[str]:
    """English that every Python carries."""
    from pydoc_data.topics import topics

    return [topics[name][:400] for name in sorted(topics)[:16]]


CORPUS = CorpusSettings(min_characters=1)


@pytest.fixture
def interpret(
    planted_workspace: Workspace, planted_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[Any]]:
    """`interpret(texts)`: the stage on layer 0."""
    monkeypatch.setattr(interpret_stage, "PROBE_ROWS", 100)

    def run(
        texts: Path, monitor: Monitor = SILENT, *, again: bool = False, **limits: int
    ) -> list[Any]:
        settings = InterpretationSettings.model_validate({"texts": str(texts)} | limits)
        model = ModelSettings(name=str(planted_model_folder), device="cpu")
        request = StageRequest(model, CORPUS, settings, planted_workspace, overwrite=again)
        return interpret_stage.interpret((0,), request, monitor)

    return run


def write_texts(path: Path, texts: list[str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path
