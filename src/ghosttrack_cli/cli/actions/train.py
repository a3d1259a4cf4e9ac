"""Training from the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ghosttrack_cli.cli.actions.outcome import Outcome, give
from ghosttrack_cli.cli.actions.page import refresh_page
from ghosttrack_cli.cli.actions.train_checks import check_layers, check_settings, stored_layers
from ghosttrack_cli.cli.actions.train_plan import STORE, plan_layers
from ghosttrack_cli.cli.actions.train_settings import say_settings, settings_of, widest
from ghosttrack_cli.cli.terminal.output import Column, Line, Span, Table, line
from ghosttrack_cli.monitor import SILENT
from ghosttrack_cli.quantities import format_figure, format_percent
from ghosttrack_cli.site import format_layers
from ghosttrack_cli.status.layer_status import TrainingStatus, read_training

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import Workspace

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
