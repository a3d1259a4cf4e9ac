"""The loop of one layer's training: step, report, evaluate, save."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from ghosttrack_cli.errors import Stopped
from ghosttrack_cli.machine import clock
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.sae.topk import TopKSAE
from ghosttrack_cli.training import reporting
from ghosttrack_cli.training.measure import guard
from ghosttrack_cli.training.measure.evaluate import Evaluation, evaluate
from ghosttrack_cli.training.parts import READING, SAVING, STEPS
from ghosttrack_cli.training.records.checkpoint import prune, save_checkpoint
from ghosttrack_cli.training.records.history import COLUMNS, History
from ghosttrack_cli.training.records.manifest import write_progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.settings.schema import SAETrainingSettings
    from ghosttrack_cli.site import Site
    from ghosttrack_cli.training.engines.engine import Engine
    from ghosttrack_cli.training.plan.recipe import Recipe
    from ghosttrack_cli.training.records.loggers import Logger
    from ghosttrack_cli.training.rows.layer_rows import TrainingRows
    from ghosttrack_cli.workspace import Workspace


@dataclass
class Session:
    """Everything that one layer's training needs between two stops."""

    layer: Site
    rows: TrainingRows
    engine: Engine
    recipe: Recipe
    training: SAETrainingSettings
    workspace: Workspace
    monitor: Monitor
    source: dict[str, Any]
    """What cfg.json says about where the SAE comes from."""
    identity: dict[str, Any]
    """What has to be equal on resume, and the environment."""
    step: int = 0
    seconds: float = 0.0
    history: History = field(default_factory=History)
    best: dict[str, float] | None = None
    """Step, fvu and l0 of the best evaluation so far, one whose L0 lies in the band."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """The newest evaluation, as the manifest has it."""

    loggers: Sequence[Logger] = ()

    def __post_init__(self) -> None:
        self._started = self._saved = clock.monotonic()

    def train(self) -> None:
        """Take all steps that are left; every evaluation, checkpoint and stop is in here."""
        if self.done():
            prune(self._checkpoints)
            return
        for raw in self._batches():
            self.engine.step(raw)
            self.step += 1
            if self.engine.halted():
                self._halt()
            if self.step in self.evaluation_steps:
                self._evaluate()
            self.monitor.progress(reporting.progress(self))
            if self.done():
                break
            self._save_if_due()
        self.monitor.begin(SAVING)
        self.save()

    def _batches(self) -> Iterator[Tensor]:
        """The batches (B, D) of all steps that are left."""
        self.monitor.begin(READING)
        first = self.step
        for raw in self.rows.batches(self.recipe.batch_size, first, self.recipe.total_steps):
            if self.step == first:
                self.monitor.begin(STEPS)
            yield raw

    def done(self) -> bool:
        """Whether all steps are taken, or none of the last evaluations was a better one."""
        return self.step >= self.recipe.total_steps or self._out_of_patience()

    @cached_property
    def evaluation_steps(self) -> frozenset[int]:
        """The steps after which held-out rows are looked at; the last one is among them."""
        total, count = self.recipe.total_steps, self.training.evaluations
        return frozenset(max(1, round(total * (i + 1) / count)) for i in range(count))

    def _out_of_patience(self) -> bool:
        if self.training.patience is None or self.best is None:
            return False
        later = [step for step in self.history.columns["step"] if step > self.best["step"]]
        return len(later) >= self.training.patience

    def _halt(self) -> NoReturn:
        """Keep the state from before the refused step and give up."""
        step = int(self.engine.state.step)
        self.step = step
        self.engine.state.halted.fill_(False)
        self.save("failed")
        raise guard.refuse_halted(self.layer, step, self.recipe.schedule.peak)

    def folded(self) -> SAE:
        """The SAE as it is now, reading and writing raw activations."""
        survey = self.rows.survey
        state = self.engine.state
        mean = survey.mean.to(state.step.device)
        weights = state.weights._replace(b_dec=state.weights.b_dec + mean)._asdict()
        return self._sae(weights).folded(survey.scale, mean)

    def _sae(self, weights: dict[str, Tensor]) -> SAE:
        """The SAE with these weights, of the architecture that is trained."""
        objective = self.recipe.objective
        if objective.competes_by_row:
            return TopKSAE.from_weights(weights, metadata=self.source, k=objective.k)
        return JumpReLUSAE.from_weights(weights, metadata=self.source)

    def look(
        self, sae: SAE, batches: Iterable[Tensor], onto: Evaluation | None = None
    ) -> Evaluation:
        """The SAE on raw rows, with the sparsity weight of now; `onto` what was seen before."""
        weight = self.recipe.schedule.sparsity_weight(max(0, self.step - 1))
        scale = self.rows.survey.scale
        return evaluate(
            sae, batches, scale=scale, objective=self.recipe.objective, weight=weight, onto=onto
        )

    def _evaluate(self) -> None:
        if self.engine.halted(wait=True):
            self._halt()
        sae = self.folded()
        evaluation = self.look(sae, self.evaluated_rows())
        entry = reporting.history_entry(self, evaluation)
        guard.check_entry(self.layer, self.history, entry, self.training, self.recipe.schedule.peak)
        self.history.add(entry)
        self.offer(sae, entry["fvu"], entry["sparsity"])
        self.history.write(self.workspace.history(self.layer))
        for logger in self.loggers:
            logger.write(entry)
        self.metrics = reporting.manifest_metrics(self, evaluation, *reporting.dead(self))
        self.write_progress("running")

    def evaluated_rows(self) -> Iterator[Tensor]:
        """The held-out rows that every evaluation during training looks at."""
        return self.rows.validation(self.recipe.evaluation_rows)

    def offer(self, sae: SAE, fvu: float, l0: float, **extra: Any) -> None:
        """Keep the SAE as the best one if its L0 is in the band and no earlier FVU is lower.

        Nothing of the warm-up is: there the penalty is not what was asked for yet.
        """
        warm = self.step > self.recipe.schedule.warm_steps
        if warm and self.recipe.band.has(l0) and (self.best is None or fvu < self.best["fvu"]):
            self.keep_best(sae, fvu, l0, **extra)

    def keep_best(self, sae: SAE, fvu: float, l0: float, **extra: Any) -> None:
        """Write the SAE as the best one."""
        self.best = {"step": self.step, "fvu": fvu, "l0": l0}
        self.save_sae(sae, "best", **extra)

    def save_sae(self, sae: SAE, kind: Any, sparsity: Tensor | None = None, **extra: Any) -> None:
        """Write one of the layer's SAE folders."""
        about = {
            "layer": self.layer.json,
            "step": self.step,
            "scale": self.rows.survey.scale,
            **extra,
        }
        sae.save(
            self.workspace.sae(self.layer, kind),
            metadata={"ghosttrack": about},
            sparsity=sparsity,
        )

    def _save_if_due(self) -> None:
        every = self.training.checkpoint_steps
        late = clock.monotonic() - self._saved > 60 * self.training.checkpoint_minutes
        signal_number = self.monitor.stop_signal()
        if signal_number is not None:
            self.save("stopped")
            raise Stopped(signal_number)
        if late or (every is not None and self.step % every == 0):
            self.save()

    def save(self, state: str = "running") -> None:
        """Write a checkpoint, and what status shows."""
        if self.engine.halted(wait=True):
            self._halt()
        body = {
            **self.identity,
            "step": self.step,
            "history": self.history.columns,
            "best": self.best,
            "metrics": self.metrics,
            "seconds": self.elapsed(),
        }
        save_checkpoint(self._checkpoints, self.engine.state, body)
        self._saved = clock.monotonic()
        self.write_progress(state)

    @property
    def _checkpoints(self) -> Path:
        return self.workspace.sae(self.layer, "last")

    def restore(self, body: dict[str, Any]) -> None:
        """Continue where `body` was written."""
        self.step = body["step"]
        self.best = body["best"]
        self.metrics = body["metrics"]
        self.history = History({name: body["history"][name] for name in COLUMNS})
        self.seconds = body["seconds"]
        self.monitor.notice(
            f"layer {self.layer}: resuming at step {self.step:,} of {self.recipe.total_steps:,}"
        )

    def elapsed(self) -> float:
        """Seconds of training, those before a stop included."""
        return self.seconds + clock.monotonic() - self._started

    def write_progress(self, state: str, **extra: Any) -> dict[str, Any]:
        """Write the manifest that `status` reads, and return it."""
        document = reporting.manifest(self, state) | extra
        write_progress(self.workspace.training_progress(self.layer), document)
        return document
