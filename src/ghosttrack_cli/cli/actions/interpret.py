"""Interpretation from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.cli.actions.outcome import Outcome, choose_layers, give
from ghosttrack_cli.cli.actions.remembered import stage_settings
from ghosttrack_cli.cli.output import line
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.quantities import format_layers

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.workspace import Workspace


def interpret(
    session: Session, layers: str | None, *, dry_run: bool, overwrite: bool, yes: bool
) -> None:
    """Plan the interpretation, or do it."""
    chosen = trained_layers(session, layers)
    if dry_run:
        give(session, plan_interpretation(session, chosen))
        return
    if overwrite and any(session.workspace.report(layer).exists() for layer in chosen):
        session.confirm_overwrite(f"the reports of layers {format_layers(chosen)}", yes=yes)
        for layer in chosen:
            delete_report(session.workspace, layer)
    give(session, interpret_layers(session, chosen))


def trained_layers(session: Session, text: str | None) -> tuple[int, ...]:
    """The layers asked for, all of which have an SAE to interpret.

    Raises:
        UsageError: no layer has one, or not one that was asked for.
    """
    workspace = session.workspace
    present = workspace.trained(session.settings.interpretation.checkpoint)
    if not present:
        raise UsageError(f"no trained SAE in {workspace.checkpoints}", hint=session.again("train"))
    return choose_layers(text, present, have="trained SAE")


def interpret_layers(session: Session, layers: tuple[int, ...]) -> Outcome:
    """Interpret the SAEs of `layers` in one pass."""
    from ghosttrack_cli.interpretation.interpret import interpret as run_interpretation

    settings, workspace = stage_settings(session), session.workspace
    with session.monitor() as monitor:
        summaries = run_interpretation(
            layers,
            settings.interpretation,
            settings.model,
            settings.corpus,
            workspace,
            monitor,
            cache_dir=settings.paths.cache_dir,
        )
    blocks = [
        line(
            f"layer {one.layer}: {one.counts.active:,} of {one.counts.features:,} features fire"
            f" on {one.counts.rows:,} rows of {one.source.name}"
        )
        for one in summaries
    ]
    blocks.append(line("open in a browser: ", str(workspace.browser)))
    document = {
        "layers": [one.model_dump(mode="json") for one in summaries],
        "browser": str(workspace.browser),
    }
    return Outcome(document, blocks, f"interpret --layer {layers[0]} --feature 0")


def plan_interpretation(session: Session, layers: tuple[int, ...]) -> Outcome:
    """What interpretation would read."""
    whole = stage_settings(session)
    settings = whole.interpretation
    folders = [session.workspace.sae(layer, settings.checkpoint) for layer in layers]
    document: dict[str, Any] = {
        "layers": list(layers),
        "texts": settings.texts,
        "saes": [str(folder) for folder in folders],
        "model": whole.model.name,
    }
    blocks = [
        line(f"interpret layers {format_layers(layers)} over {settings.texts}"),
        *(line(f"  {folder}") for folder in folders),
    ]
    return Outcome({"plan": document}, blocks)


def delete_report(workspace: Workspace, layer: int) -> None:
    """Delete the report of `layer`; links are removed, not followed."""
    files.remove(workspace.report(layer))
    files.remove(workspace.interpretation(layer))
