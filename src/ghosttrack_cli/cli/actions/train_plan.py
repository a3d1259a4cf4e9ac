"""What training will take, as `train --dry-run` and `run --dry-run` show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.cli.actions.outcome import Outcome
from ghosttrack_cli.cli.actions.train_checks import check_layers
from ghosttrack_cli.cli.actions.train_settings import say_settings, settings_of, widest
from ghosttrack_cli.cli.terminal.output import Column, Line, Span, Table, line
from ghosttrack_cli.errors import GhostTrackError
from ghosttrack_cli.monitor import Part
from ghosttrack_cli.quantities import format_bytes, format_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.read.reader import ActivationStore
    from ghosttrack_cli.training.plan.plan import TrainingPlan
    from ghosttrack_cli.training.recorded import LayerSettings
    from ghosttrack_cli.workspace import Workspace

STORE = Part("opening the store")
PLAN_COLUMNS = tuple(
    Column(name, "right")
    for name in ("layer", "rows", "batch", "steps", "done", "memory", "disk", "state")
)


def plan_layers(
    session: Session, layers: tuple[AnySite, ...], *, overwrite: bool = False
) -> Outcome:
    """What training will do, what it needs, how long it takes, and whether it will be refused."""
    from ghosttrack_cli.store.read.reader import ActivationStore

    store = ActivationStore.open(session.workspace.store)
    return plan_store(session, store, layers, overwrite=overwrite)


@dataclass(frozen=True)
class TrainingOutlook:
    """What the trainings of some layers take, how they will end if refused, and their seconds."""

    plans: list[TrainingPlan]
    at_once: int
    refusal: GhostTrackError | None
    seconds: float | None
    made_up: bool
    """Whether it was timed on made-up rows."""

    @property
    def memory(self) -> int:
        """Bytes of all layers that train at once."""
        return self.plans[0].memory_bytes + (self.at_once - 1) * self.plans[0].memory_needed

    def outcome(self, workspace: Workspace) -> Outcome:
        """The plan as it is shown."""
        free = files.free_bytes(workspace.root)
        disk = sum(plan.disk_bytes for plan in self.plans)
        blocks: list[Line | Table] = [
            Table(PLAN_COLUMNS, tuple(_plan_row(plan) for plan in self.plans)),
            line(f"disk: {format_bytes(disk)} at most, {format_bytes(free)} free"),
            line(f"large matrix products: {self.plans[0].products}"),
        ]
        if self.at_once > 1:
            memory = format_bytes(self.memory)
            blocks.append(line(f"{self.at_once} layers at once, in {memory} of memory"))
        blocks.append(line(f"time: {_time(self)}"))
        document = {
            "plan": [vars(plan) for plan in self.plans],
            "layers_at_once": self.at_once,
            "memory_bytes": self.memory,
            "disk_bytes": disk,
            "free_bytes": free,
            "seconds": self.seconds,
        }
        return Outcome(document, blocks, refusal=self.refusal)


def plan_store(
    session: Session,
    store: ActivationStore,
    layers: tuple[AnySite, ...],
    *,
    overwrite: bool = False,
    made_up: bool = False,
) -> Outcome:
    """The same for a store that may not be there yet: its rows are `made_up` then."""
    with session.monitor("plan") as monitor:
        monitor.begin(STORE)
        from ghosttrack_cli.training.side_by_side import layers_at_once

        say_settings(session, layers, overwrite=overwrite)
        own = {layer: settings_of(session, layer, overwrite=overwrite) for layer in layers}
        at_once = layers_at_once(store, *widest(own), len(layers), monitor.notice)
        plans = _plans(session, store, own, at_once, overwrite=overwrite, made_up=made_up)
        for words in dict.fromkeys(words for plan in plans for words in plan.notices):
            monitor.notice(words)
        refusal, seconds = None, None
        try:
            check_layers(session, store, layers, monitor, overwrite=overwrite)
        except GhostTrackError as error:
            refusal = error
        else:
            rows = _first_rows(store, plans[0], made_up=made_up)
            seconds = training_seconds(rows, plans, own, at_once)
    return TrainingOutlook(plans, at_once, refusal, seconds, made_up).outcome(session.workspace)


def _plans(
    session: Session,
    store: ActivationStore,
    own: Mapping[AnySite, LayerSettings],
    at_once: int,
    *,
    overwrite: bool,
    made_up: bool,
) -> list[TrainingPlan]:
    from ghosttrack_cli.training.plan.plan import plan_training

    return [
        plan_training(
            store, layer, *both, session.workspace, at_once, overwrite=overwrite, made_up=made_up
        )
        for layer, both in own.items()
    ]


def _first_rows(store: ActivationStore, plan: TrainingPlan, *, made_up: bool) -> Tensor:
    """A batch of rows to take a few steps on."""
    from ghosttrack_cli.training.plan import timing

    if made_up:
        return timing.made_up_rows(store.d_model, plan.batch_size)
    return timing.stored_rows(store, plan.layer, plan.batch_size)


def training_seconds(
    raw: Tensor,
    plans: Sequence[TrainingPlan],
    own: Mapping[AnySite, LayerSettings],
    at_once: int,
) -> float | None:
    """Seconds for all `plans`, from a few steps on `raw` rows; None on a GPU."""
    import torch

    from ghosttrack_cli.training.plan import timing

    left = [plan for plan in plans if timing.rows_to_see(plan, own[plan.layer][1])]
    if not left:
        return 0.0
    threads = max(1, torch.get_num_threads() // at_once)
    sae, training = widest({plan.layer: own[plan.layer] for plan in left})
    a_row = timing.seconds_a_row(raw, sae, training, threads)
    return None if a_row is None else timing.total_seconds(plans, training, a_row, at_once)


def _time(outlook: TrainingOutlook) -> str:
    seconds = outlook.seconds
    if outlook.refusal is not None:
        return "-"
    if seconds is None:
        return "not measured on a GPU, where the first step compiles for minutes"
    if not seconds:
        return "none: all layers are trained"
    rows = "made-up rows" if outlook.made_up else "these rows"
    return f"about {format_seconds(seconds)} on this machine, from a few steps on {rows}"


def _plan_row(plan: TrainingPlan) -> tuple[Span, ...]:
    cells = (
        str(plan.layer),
        f"{plan.rows:,}",
        f"{plan.batch_size:,}",
        f"{plan.total_steps:,}",
        f"{plan.finished_steps:,}",
        format_bytes(plan.memory_bytes),
        format_bytes(plan.disk_bytes),
        plan.state,
    )
    return tuple(Span(cell) for cell in cells)
