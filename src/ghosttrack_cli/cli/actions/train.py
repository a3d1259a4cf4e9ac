"""Training from the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.cli.actions.outcome import Outcome, choose_layers, give
from ghosttrack_cli.cli.actions.page import refresh_page
from ghosttrack_cli.cli.actions.train_settings import say_settings, settings_of, widest
from ghosttrack_cli.cli.terminal.output import Column, Line, Span, Table, line
from ghosttrack_cli.errors import GhostTrackError
from ghosttrack_cli.monitor import SILENT, Part
from ghosttrack_cli.quantities import format_bytes, format_figure, format_percent, format_seconds
from ghosttrack_cli.site import format_layers
from ghosttrack_cli.status.layer_status import TrainingStatus, read_training
from ghosttrack_cli.store.format.commit_record import read_commit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.site import AnySite, Site
    from ghosttrack_cli.store.read.reader import ActivationStore
    from ghosttrack_cli.training.plan.plan import TrainingPlan
    from ghosttrack_cli.training.recorded import LayerSettings
    from ghosttrack_cli.workspace import Workspace

STORE = Part("opening the store")
PLAN_COLUMNS = tuple(
    Column(name, "right")
    for name in ("layer", "rows", "batch", "steps", "done", "memory", "disk", "state")
)
RESULT_COLUMNS = tuple(
    Column(name, "right") for name in ("layer", "steps", "recon", "FVU", "L0", "dead", "rows")
)


def train(
    session: Session,
    layers: str | None,
    *,
    dry_run: bool,
    overwrite: bool,
    yes: bool,
) -> None:
    """Plan the training, or do it."""
    check_settings(session)
    chosen = stored_layers(session, layers)
    if dry_run:
        give(session, plan_layers(session, chosen, overwrite=overwrite))
        return
    if overwrite and any(session.workspace.training_progress(one).exists() for one in chosen):
        session.confirm_overwrite(f"the SAEs of layers {format_layers(chosen)}", yes=yes)
    give(session, train_layers(session, chosen, overwrite=overwrite))


def check_settings(session: Session) -> None:
    """Refuse what training would refuse, before hours of work end without it."""
    from ghosttrack_cli.training.records.loggers import logger_names

    training = session.settings.sae_training
    logger_names(training.log_to)
    if training.layers_at_once is not None:  # to ask for the device loads torch
        from ghosttrack_cli.training.side_by_side import check_at_once

        check_at_once(training)


def stored_layers(session: Session, text: str | None) -> tuple[Site, ...]:
    """The layers asked for, all of which are in the store."""
    return choose_layers(
        text, read_commit(session.workspace.store).layers, have="rows in the store"
    )


def check_layers(
    session: Session, store: ActivationStore, layers: tuple[AnySite, ...], monitor: Monitor,
    *, overwrite: bool,
) -> None:  # fmt: skip
    """Refuse what the training of any of `layers` would refuse, before one of them begins."""
    from ghosttrack_cli.training.trainer import Trainer

    for layer in layers:
        sae, training = settings_of(session, layer, overwrite=overwrite)
        Trainer(
            store, layer, sae, training, session.workspace, monitor, overwrite=overwrite
        ).check()


def plan_layers(
    session: Session, layers: tuple[AnySite, ...], *, overwrite: bool = False
) -> Outcome:
    """What training will do, what it needs, how long it takes, and whether it will be refused."""
    from ghosttrack_cli.store.read.reader import ActivationStore

    store = ActivationStore.open(session.workspace.store)
    return plan_store(session, store, layers, overwrite=overwrite)


def plan_store(
    session: Session,
    store: ActivationStore,
    layers: tuple[AnySite, ...],
    *,
    overwrite: bool = False,
    made_up: bool = False,
) -> Outcome:
    """The same for a store that may not be there yet: its rows are `made_up` then."""
    workspace = session.workspace
    with session.monitor("plan") as monitor:
        monitor.begin(STORE)
        from ghosttrack_cli.training.plan import timing
        from ghosttrack_cli.training.plan.plan import plan_training
        from ghosttrack_cli.training.side_by_side import layers_at_once

        say_settings(session, layers, overwrite=overwrite)
        own = {layer: settings_of(session, layer, overwrite=overwrite) for layer in layers}
        at_once = layers_at_once(store, *widest(own), len(layers), monitor.notice)
        plans = [
            plan_training(
                store,
                layer,
                *own[layer],
                workspace,
                at_once,
                overwrite=overwrite,
                made_up=made_up,
            )
            for layer in layers
        ]
        for words in dict.fromkeys(words for plan in plans for words in plan.notices):
            monitor.notice(words)
        refusal, seconds = None, None
        try:
            check_layers(session, store, layers, monitor, overwrite=overwrite)
        except GhostTrackError as error:
            refusal = error
        else:
            count = plans[0].batch_size
            raw = (
                timing.made_up_rows(store.d_model, count)
                if made_up
                else timing.stored_rows(store, layers[0], count)
            )
            seconds = training_seconds(raw, plans, own, at_once)
    free = files.free_bytes(workspace.root)
    disk = sum(plan.disk_bytes for plan in plans)
    blocks: list[Line | Table] = [
        Table(PLAN_COLUMNS, tuple(_plan_row(plan) for plan in plans)),
        line(f"disk: {format_bytes(disk)} at most, {format_bytes(free)} free"),
        line(f"large matrix products: {plans[0].products}"),
    ]
    memory = plans[0].memory_bytes + (at_once - 1) * plans[0].memory_needed
    if at_once > 1:
        blocks.append(line(f"{at_once} layers at once, in {format_bytes(memory)} of memory"))
    document = {
        "plan": [vars(plan) for plan in plans],
        "layers_at_once": at_once,
        "memory_bytes": memory,
        "disk_bytes": disk,
        "free_bytes": free,
        "seconds": seconds,
    }
    blocks.append(line(f"time: {_time(seconds, refusal, made_up=made_up)}"))
    return Outcome(document, blocks, refusal=refusal)


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


def _time(seconds: float | None, refusal: GhostTrackError | None, *, made_up: bool) -> str:
    if refusal is not None:
        return "-"
    if seconds is None:
        return "not measured on a GPU, where the first step compiles for minutes"
    if not seconds:
        return "none: all layers are trained"
    rows = "made-up rows" if made_up else "these rows"
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


def train_layers(
    session: Session, layers: tuple[AnySite, ...], *, overwrite: bool = False
) -> Outcome:
    """Train the SAEs of `layers`, as many at once as gain from it."""
    workspace = session.workspace
    with session.monitor("train", stage="train") as monitor:
        from ghosttrack_cli.store.read.reader import ActivationStore
        from ghosttrack_cli.training import side_by_side as several
        from ghosttrack_cli.training.trainer import Trainer

        def train_layer(layer: AnySite, part: Monitor) -> None:
            sae, training = own[layer]
            trainer = Trainer(
                store, layer, sae, training, workspace, part, overwrite=overwrite, at_once=at_once
            )
            trainer.run()

        monitor.begin(STORE)
        store = ActivationStore.open(workspace.store)
        check_layers(session, store, layers, SILENT, overwrite=overwrite)
        say_settings(session, layers, overwrite=overwrite)
        own = {layer: settings_of(session, layer, overwrite=overwrite) for layer in layers}
        at_once = several.layers_at_once(store, *widest(own), len(layers), monitor.notice)
        several.train_layers(layers, train_layer, monitor, at_once=at_once)
    refresh_page(session)
    return _trained(workspace, layers)


def _trained(workspace: Workspace, layers: tuple[AnySite, ...]) -> Outcome:
    problems: list[str] = []
    found = {layer: read_training(workspace, layer, problems) for layer in layers}
    document = {"layers": {str(layer): one and asdict(one) for layer, one in found.items()}}
    rows = tuple(_result_row(layer, one) for layer, one in found.items() if one)
    blocks: list[Line | Table] = [
        Table(RESULT_COLUMNS, rows),
        *(best_line(layer, one) for layer, one in found.items() if one and one.best),
        line("SAEs: ", str(workspace.checkpoints)),
    ]
    return Outcome(document, blocks, ("interpret",))


def best_line(layer: AnySite, one: TrainingStatus) -> Line:
    """Which SAE of a layer is the best one, beside the final one."""
    assert one.best is not None
    if one.best.step == one.step:
        return line(f"layer {layer}: best is the final SAE, of step {one.step:,}")
    return line(
        f"layer {layer}: best is of step {one.best.step:,}, FVU {format_figure(one.best.fvu)} at L0"
        f" {format_figure(one.best.l0)}; final is of step {one.step:,}"
    )


def _result_row(layer: AnySite, one: TrainingStatus) -> tuple[Span, ...]:
    metrics = (one.recon_loss, one.fvu, one.l0)
    cells = (
        str(layer),
        f"{one.step:,}",
        *("-" if value is None else format_figure(value) for value in metrics),
        "-" if one.dead is None else format_percent(one.dead),
        "-" if one.rows is None else f"{one.rows:,}",
    )
    return tuple(Span(cell) for cell in cells)
