"""TensorBoard and Weights & Biases show the history, whatever stopped the training in between."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from tests.training.outcomes import LAYER, StopAfter, elsewhere, ending, tree

from ghosttrack_cli.errors import Stopped, UsageError
from ghosttrack_cli.settings.schema import SAETrainingSettings

if TYPE_CHECKING:
    from tests.training.conftest import Bench

FEW_CHECKPOINTS: dict[str, Any] = {"evaluations": 8, "checkpoint_steps": 12}


class SummaryWriter:
    """Keeps for each folder what a reader of all its files would show."""

    shown: dict[str, dict[tuple[str, int], list[float]]]

    def __init__(self, folder: str, purge_step: int) -> None:
        self.points = self.shown.setdefault(folder, {})
        for key in [key for key in self.points if key[1] >= purge_step]:
            del self.points[key]

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.points.setdefault((name, step), []).append(value)

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Run:
    """A run that, like those of wandb, drops what comes with a step that is over."""

    def __init__(self) -> None:
        self.step, self.lines, self.finished = 0, list[dict[str, float]](), 0
        self.url = "https://wandb.example/run"

    def log(self, entry: dict[str, float], *, step: int, commit: bool) -> None:
        assert step >= self.step, "wandb would warn and drop it"
        assert commit
        self.step = step + 1
        self.lines.append(entry)

    def finish(self) -> None:
        self.finished += 1


class Wandb(ModuleType):
    """The part of wandb that is used."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.Error = type("Error", (Exception,), {})
        self.runs: dict[str, Run] = {}
        self.asked: list[dict[str, Any]] = []

    def init(self, **asked: Any) -> Run:
        self.asked.append(asked)
        assert asked["resume"] == "allow"
        return self.runs.setdefault(asked["id"], Run())


@pytest.fixture
def tensorboard(monkeypatch: pytest.MonkeyPatch) -> type[SummaryWriter]:
    module = ModuleType("torch.utils.tensorboard")
    SummaryWriter.shown = {}
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return SummaryWriter


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Wandb:
    module = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def train_in_parts(bench: Bench, log_to: str) -> dict[str, list[float]]:
    """The history of a training that is stopped, killed after an evaluation, and resumed."""
    with pytest.raises(Stopped):
        bench.trainer(log_to=log_to, stop=StopAfter(13), **FEW_CHECKPOINTS).run()

    def power_cut() -> None:
        if bench.reports[-1].done >= 22 * 256:
            raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        bench.trainer(log_to=log_to, stop=power_cut, **FEW_CHECKPOINTS).run()
    return bench.trainer(log_to=log_to, **FEW_CHECKPOINTS).run().history


def test_tensorboard_has_each_figure_of_each_evaluation_once(
    bench: Bench, tensorboard: type[SummaryWriter]
) -> None:
    history = train_in_parts(bench, "tensorboard")
    (points,) = tensorboard.shown.values()
    steps = [int(step) for step in history["step"]]
    assert points == {
        (name, step): [value]
        for name, values in history.items()
        for step, value in zip(steps, values, strict=True)
    }
    assert list(tensorboard.shown) == [str(bench.workspace.tensorboard(LAYER))]


def test_wandb_continues_one_run(bench: Bench, wandb: Wandb) -> None:
    history = train_in_parts(bench, "wandb")
    (run,) = wandb.runs.values()
    assert [line["step"] for line in run.lines] == history["step"]
    assert [line["fvu"] for line in run.lines] == history["fvu"]
    assert run.finished == 3
    assert wandb.asked[0]["name"] == "layer 3"
    assert "layer 3: https://wandb.example/run" in bench.notices
    assert wandb.asked[0]["config"]["sae.d_hidden"] == 96
    bench.trainer(log_to="wandb", overwrite=True).run()
    assert len(wandb.runs) == 2


def test_a_run_that_cannot_start_says_how(bench: Bench, wandb: Wandb) -> None:
    def refuse(**_: Any) -> Run:
        raise wandb.Error("api_key secret not configured")

    wandb.init = refuse  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="wandb cannot start a run: Error") as caught:
        bench.trainer(log_to="wandb").run()
    assert "secret" not in str(caught.value)
    assert "wandb login" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_what_is_not_installed_is_said_before_anything_is_trained_or_deleted(
    bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [one for one in sys.modules if name in one]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Missing(name), *sys.meta_path])
    bench.trainer().run()
    reports, before = len(bench.reports), tree(bench.workspace)
    with pytest.raises(UsageError, match=f"{name} is not installed") as caught:
        bench.trainer(log_to=name, overwrite=True).run()
    assert caught.value.hint == f"pip install 'ghosttrack[{name}]'"
    assert len(bench.reports) == reports
    assert tree(bench.workspace) == before


class Missing:
    """A finder for which a package is not there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, module: str, *_: object) -> None:
        if module.partition(".")[0] == self.name:
            raise ModuleNotFoundError(module)


def test_logging_changes_nothing_else(
    bench: Bench, tensorboard: type[SummaryWriter], wandb: Wandb
) -> None:
    """Also it may begin in the middle, and then shows what came before."""
    plain, logged = elsewhere(bench, "plain"), elsewhere(bench, "logged")
    bench.trainer(workspace=plain).run()
    with pytest.raises(Stopped):
        bench.trainer(workspace=logged, stop=StopAfter(25)).run()
    history = bench.trainer(workspace=logged, log_to="tensorboard,wandb").run().history
    left = ending(logged)
    assert left.pop(logged.wandb_run(LAYER).name)
    assert left == ending(plain)
    (run,) = wandb.runs.values()
    assert [line["step"] for line in run.lines] == history["step"]
    assert len(next(iter(tensorboard.shown.values()))) == len(history) * len(history["step"])


def test_the_real_tensorboard_reads_it_back(bench: Bench) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = train_in_parts(bench, "tensorboard")
    reader = EventAccumulator(str(bench.workspace.tensorboard(LAYER)))
    reader.Reload()
    for name in ("fvu", "sparsity", "lr"):
        events = reader.Scalars(name)
        assert [event.step for event in events] == history["step"]
        assert [event.value for event in events] == pytest.approx(history[name])


def test_names_are_checked_with_the_settings() -> None:
    assert SAETrainingSettings(log_to=" wandb, tensorboard,wandb").log_to == "wandb,tensorboard"
    with pytest.raises(ValueError, match="no such logger: 'mlflow'"):
        SAETrainingSettings(log_to="mlflow")
