"""Train one layer: what is there already, what fits it, then a session from where it stopped."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ghosttrack_cli import files
from ghosttrack_cli.arguments import as_layer
from ghosttrack_cli.errors import CorruptionError, StateError
from ghosttrack_cli.leftovers import clear_leftovers
from ghosttrack_cli.monitor import SILENT
from ghosttrack_cli.sae.origin import read_imported
from ghosttrack_cli.training import reporting
from ghosttrack_cli.training.engines.cpu import CpuEngine
from ghosttrack_cli.training.engines.cuda_graph import GraphEngine
from ghosttrack_cli.training.engines.engine import Scaling
from ghosttrack_cli.training.final_sae import finish
from ghosttrack_cli.training.parts import OPENING
from ghosttrack_cli.training.plan.conditions import conditions
from ghosttrack_cli.training.plan.plan import training_device
from ghosttrack_cli.training.plan.recipe import Recipe
from ghosttrack_cli.training.records import retraining
from ghosttrack_cli.training.records.checked import read_history
from ghosttrack_cli.training.records.checkpoint import has_checkpoint, load_checkpoint
from ghosttrack_cli.training.records.identity import (
    check_same,
    environment,
    settings_identity,
    store_identity,
)
from ghosttrack_cli.training.records.loggers import RunInfo, logger_names, open_loggers
from ghosttrack_cli.training.records.manifest import read_progress
from ghosttrack_cli.training.rows.layer_rows import LayerRows
from ghosttrack_cli.training.session import Session
from ghosttrack_cli.training.step.state import State, initial_state, state_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import torch

    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
    from ghosttrack_cli.site import AnySite, Site
    from ghosttrack_cli.store.read.reader import ActivationStore
    from ghosttrack_cli.training.engines.engine import Engine
    from ghosttrack_cli.training.rows.layer_rows import TrainingRows
    from ghosttrack_cli.workspace import Workspace

HEADER_BYTES = 2**16


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to; `metrics` are those of the manifest, `history` has its columns."""

    layer: Site
    outcome: Literal["trained", "already finished"]
    steps: int
    metrics: dict[str, Any]
    history: dict[str, list[float]]


class Trainer:
    """Trains the SAE of one layer; running it again continues it.

    Args:
        store: only read.
        layer: one that the store has.
        sae: settings of the section [sae].
        training: settings of the section [sae_training].
        workspace: gets the SAEs, the checkpoints and the history.
        monitor: takes progress and notices; default: nobody.
        overwrite: train anew; what an earlier training left stands until the new one is finished,
            and then goes.
        at_once: layers that train at the same time, this one among them, and share the memory.

    Example:
        >>> settings = load_settings()
        >>> store, workspace = ActivationStore.open("run/activations.zarr"), Workspace(Path("run"))
        >>> Trainer(store, 6, settings.sae, settings.sae_training, workspace).run().metrics["fvu"]
        0.214
    """

    def __init__(
        self,
        store: ActivationStore,
        layer: AnySite,
        sae: SAESettings,
        training: SAETrainingSettings,
        workspace: Workspace,
        monitor: Monitor = SILENT,
        *,
        overwrite: bool = False,
        at_once: int = 1,
    ) -> None:
        self.store = store
        self.layer = as_layer(layer, "layer")
        self.sae = sae
        self.training = training
        self.workspace = workspace
        self.place = workspace
        """Where the training lies that `run` begins or goes on with: beside an SAE that stands."""
        self.monitor = monitor
        self.overwrite = overwrite
        self.at_once = at_once

    def run(self) -> TrainingResult:
        """Train to the end.

        Raises:
            UsageError: settings that cannot be used with this store.
            ConflictError: an earlier training had another store or other settings.
            TrainingError: training cannot go on; the last good state is kept.
            Stopped: a signal came; everything is saved.
        """
        loggers = self._check_asked()
        lock = self.workspace.lock(f"train_layer_{self.layer}")
        files.make_folder(self.workspace.checkpoints)
        purpose = f"training layer {self.layer}"
        with files.exclusive_lock(lock, purpose=purpose), self.store.held(purpose):
            name = f"sae_layer_{self.layer}_*"
            clear_leftovers(self.workspace.checkpoints, name, self.monitor.notice)
            return self._run(loggers)

    def check(self) -> bool:
        """Whether there is anything to train; refuse what `run` refuses before it reads a row.

        Raises:
            UsageError, StateError, ConflictError: as `run`.
        """
        self._check_asked()
        done = self._decide()
        unfinished = done is None and not self.overwrite
        if unfinished and has_checkpoint(self.place.sae(self.layer, "last")):
            with suppress(CorruptionError):
                self._check(read_progress(self.place.training_progress(self.layer)))
        return done is None or self.place != self.workspace

    def _check_asked(self) -> Sequence[str]:
        """Refuse a layer that is not there, and settings; the loggers, which are installed."""
        if self.layer not in self.store.layers:
            raise StateError(
                f"layer {self.layer} is not in the store, it has {list(self.store.layers)}",
                hint=f"ghosttrack extract --layers {self.layer}",
            )
        self._check_imported()
        self._recipe(max(1, self.store.rows))
        return logger_names(self.training.log_to)

    def _check_imported(self) -> None:
        """Refuse to train over an imported SAE, unless that is asked for, or begun beside it."""
        imported = read_imported(self.workspace.sae(self.layer, "best"))
        if imported is None or self.overwrite or retraining.begun(self.workspace, self.layer):
            return
        raise StateError(
            f"the SAE of layer {self.layer} was imported from {imported.source}",
            hint=f"ghosttrack train --layers {self.layer} --overwrite trains one in its place;"
            " or use another --workspace",
        )

    def _recipe(self, rows: int) -> Recipe:
        """The recipe of a training on `rows` rows an epoch."""
        return Recipe.of(self.sae, self.training, self.store.d_model, rows)

    def _decide(self) -> dict[str, Any] | None:
        """Where to train; the manifest of a training that is finished there, which must fit."""
        self.place = self._choose_place()
        done = None if self.overwrite else self._finished()
        self._check(done)
        return done

    def _run(self, loggers: Sequence[str]) -> TrainingResult:
        self.monitor.begin(OPENING)
        for words in conditions(self.store, self.layer, self.training):
            self.monitor.notice(words)
        self._settle()
        done = self._decide()
        if done is not None and self.place == self.workspace:
            self.monitor.accepted()
            self.monitor.notice(f"layer {self.layer}: already trained, nothing to do")
            return self._result("already finished", done)
        return self._result("trained", done or self._finish(loggers))

    def _settle(self) -> None:
        """Finish moving a retraining into place that was stopped there."""
        if self.workspace.replacement(self.layer).is_dir():
            with self._no_readers():
                retraining.settle(self.workspace, self.layer)
        else:
            retraining.settle(self.workspace, self.layer)

    def _no_readers(self) -> AbstractContextManager[None]:
        """While files that others read are replaced."""
        lock = self.workspace.readers_lock(self.layer)
        return files.exclusive_lock(lock, purpose=f"train --overwrite of layer {self.layer}")

    def _choose_place(self) -> Workspace:
        """The layer's own place, or the one beside it where an earlier SAE stands."""
        own, side = self.workspace, retraining.begun(self.workspace, self.layer)
        if self.overwrite:
            stands = retraining.something_stands(own, self.layer)
            return own.retraining(self.layer) if stands else own
        if side is None:
            return own
        asked = store_identity(self.store), self._settings()
        retraining_begun = "the retraining that --overwrite started"
        if retraining.where(own, self.layer, *asked) == own:
            self.monitor.notice(
                f"layer {self.layer}: {retraining_begun} has different settings; it is left"
                " untouched"
            )
            return own
        self.monitor.notice(
            f"layer {self.layer}: resuming {retraining_begun}; the current SAE stays until it is"
            " finished"
        )
        return side

    def _finish(self, loggers: Sequence[str]) -> dict[str, Any]:
        """Take the steps that are left; what was there before goes only when all is written."""
        session = self._session()
        self.monitor.accepted()
        if self.overwrite:
            retraining.forget(self.place, self.layer)
        if self.place != self.workspace:
            session.write_progress("running")
        self._train(session, loggers)
        return finish(session)

    def _finished(self) -> dict[str, Any] | None:
        """The manifest of a finished training; a damaged one is made again from the checkpoint.

        Raises:
            CorruptionError: there is no checkpoint to make it from.
        """
        try:
            return retraining.finished(self.place, self.layer)
        except CorruptionError as error:
            if not has_checkpoint(self.place.sae(self.layer, "last")):
                hint = f"ghosttrack train --layers {self.layer} --overwrite retrains it"
                raise CorruptionError(error.what, hint=hint) from error
            self.monitor.notice(f"{error.what}; rebuilt from the last checkpoint")
            return None

    def _train(self, session: Session, loggers: Sequence[str]) -> None:
        run = RunInfo(session.identity["settings"], self.monitor.notice)
        with open_loggers(loggers, self.place, self.layer, session.history, run) as session.loggers:
            session.train()

    def _check(self, found: dict[str, Any] | None) -> None:
        if found is not None:
            store, settings = store_identity(self.store), self._settings()
            check_same(self.layer, found, store, settings)

    def _settings(self) -> dict[str, Any]:
        return settings_identity(self.sae, self.training)

    def _session(self) -> Session:
        """The session at the newest checkpoint, or at the beginning."""
        device = training_device(self.training.device)
        state, record = self._start(device)
        rows: TrainingRows = LayerRows(
            self.store,
            self.layer,
            self.training,
            device,
            at_once=self.at_once,
            monitor=self.monitor,
        )
        survey = rows.survey
        recipe = self._recipe(survey.train_rows)
        scaling = Scaling(survey.scale, survey.mean)
        engine = self._engine(state, scaling.to(device), recipe)
        session = Session(
            layer=self.layer,
            rows=rows,
            engine=engine,
            recipe=recipe,
            training=self.training,
            workspace=self.place,
            monitor=self.monitor,
            source=self._source(),
            identity={
                "store": store_identity(self.store),
                "settings": self._settings(),
                "environment": environment(device, recipe.products_on(device)),
            },
        )
        self._restore(session, record)
        return session

    def _start(self, device: torch.device) -> tuple[State, dict[str, Any] | None]:
        """The state to go on from, on its device, and the checkpoint's record if there is one."""
        D, F = self.store.d_model, self.sae.d_hidden
        folder = self.place.sae(self.layer, "last")
        limit = state_bytes(D, F) + HEADER_BYTES
        checkpoint = None
        if not self.overwrite:
            checkpoint = load_checkpoint(folder, self.monitor.notice, limit=limit)
        if checkpoint is None:
            first = initial_state(D, F, self.sae.threshold, self.training.seed).tensors()
            return State.moved(first, device), None
        self._check(checkpoint.body)
        if checkpoint.state.weights.W_enc.shape != (D, F):
            raise CorruptionError(f"the checkpoint is of another width: {folder}")
        tensors, record = checkpoint.state.tensors(), checkpoint.body
        del checkpoint  # the dictionary alone holds the tensors now
        return State.moved(tensors, device), record

    def _engine(self, state: State, scaling: Scaling, recipe: Recipe) -> Engine:
        """What takes the steps on the state's device."""
        settings = recipe.step_settings(state.step.device)
        if not state.step.is_cuda:
            return CpuEngine(state, scaling, recipe.schedule, settings)
        return GraphEngine(
            state,
            scaling,
            recipe.schedule,
            settings,
            compiled=not self.training.deterministic,
            notice=self.monitor.notice,
        )

    def _restore(self, session: Session, record: dict[str, Any] | None) -> None:
        if record is None:
            reporting.announce(session)
            return
        session.restore(record)
        before, now = record["environment"], session.identity["environment"]
        if before != now:
            changed = [
                f"{name} {before.get(name)} -> {value}"
                for name, value in now.items()
                if before.get(name) != value
            ]
            self.monitor.notice(
                f"layer {self.layer}: resumed, but not bit for bit: {', '.join(changed)}"
            )

    def _source(self) -> dict[str, Any]:
        """What cfg.json says about where the SAE comes from."""
        identity = self.store.identity
        return {
            "model_name": identity.model,
            "model": identity.model_record.to_json(),
            "hook_name": self.layer.hook_name,
            "context_size": identity.context_length,
            "prepend_bos": True,
            "dataset_path": str(identity.corpus.get("name") or identity.corpus.get("kind", "")),
        }

    def _result(
        self, outcome: Literal["trained", "already finished"], progress: dict[str, Any]
    ) -> TrainingResult:
        if self.place != self.workspace:
            with self._no_readers():
                retraining.hand_over(self.workspace, self.layer)
        history = read_history(self.workspace.history(self.layer))
        return TrainingResult(self.layer, outcome, progress["step"], progress["metrics"], history)
