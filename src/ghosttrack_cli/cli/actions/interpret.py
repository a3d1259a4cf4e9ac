"""Interpretation from the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ghosttrack_cli.cli.actions.outcome import Outcome, give, trained_layers
from ghosttrack_cli.cli.terminal.output import Line, Table, line
from ghosttrack_cli.interpretation import parts
from ghosttrack_cli.quantities import counted, format_bytes, format_seconds
from ghosttrack_cli.site import format_layers, named_layers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.interpretation.collect.row_batch import RowSource
    from ghosttrack_cli.interpretation.plan import InterpretationPlan
    from ghosttrack_cli.report.schema import LayerSummary
    from ghosttrack_cli.site import AnySite, Site
    from ghosttrack_cli.store.read.reader import ActivationStore
    from ghosttrack_cli.training.recorded import LayerSettings
    from ghosttrack_cli.workspace import Workspace


def interpret(
    session: Session, layers: str | None, *, dry_run: bool, overwrite: bool, yes: bool
) -> None:
    """Plan the interpretation, or do it."""
    chosen = layers_to_interpret(session, layers)
    if dry_run:
        give(session, plan_layers(session, chosen, again=overwrite))
        return
    if overwrite:
        confirm_reports(session, chosen, yes=yes)
    give(session, interpret_layers(session, chosen, again=overwrite))


def confirm_reports(session: Session, layers: tuple[AnySite, ...], *, yes: bool) -> None:
    """Ask before reports are replaced that are there; those over other sources are not."""
    from ghosttrack_cli.interpretation.sources.choose import source_slug

    slug = source_slug(session.request(session.settings.interpretation))
    if any(session.workspace.report(layer, slug).exists() for layer in layers):
        session.confirm_overwrite(
            f"the reports of layers {format_layers(layers)} over {slug}", yes=yes
        )


def layers_to_interpret(session: Session, text: str | None) -> tuple[Site, ...]:
    """The layers asked for, all of which have an SAE to interpret."""
    return trained_layers(session, text, session.settings.interpretation.checkpoint)


def interpret_layers(
    session: Session, layers: tuple[AnySite, ...], *, again: bool = False
) -> Outcome:
    """Interpret the SAEs of `layers` in one pass; `again`: those with a current report too."""
    request = session.request(session.settings.interpretation, overwrite=again)
    workspace = session.workspace
    with session.monitor("interpret", stage="interpret") as monitor:
        from ghosttrack_cli.interpretation.stage import interpret as run_interpretation

        summaries = run_interpretation(layers, request, monitor)
    blocks = [
        line(
            f"layer {one.layer}: {one.counts.active:,} of {one.counts.features:,} features fire"
            f" on {_rows(workspace, one)}"
        )
        for one in summaries
    ]
    blocks.append(line("open in a browser: ", str(workspace.browser)))
    document = {
        "layers": [one.model_dump(mode="json") for one in summaries],
        "browser": str(workspace.browser),
    }
    return Outcome(document, blocks, ("open", _look_at(workspace, summaries)))


def _rows(workspace: Workspace, one: LayerSummary) -> str:
    """The rows that count, and what the others are."""
    from ghosttrack_cli.cli.actions.feature_files import one_report, read_report

    whose = "the store" if one.source.kind == "store" else one.source.name
    left_out = one.source.rows - one.counts.rows
    if not left_out:
        return f"{one.counts.rows:,} rows of {whose}"
    mask = read_report(one_report(workspace, one.layer, one.source.slug)).mask
    kinds = {
        "window start": mask.position_0,
        "special token": mask.special,
        "outlier": mask.outlier,
        "repeated row": mask.repeated,
    }
    others = ", ".join(counted(number, kind) for kind, number in kinds.items() if number)
    return (
        f"{one.counts.rows:,} of {one.source.rows:,} rows of {whose}; left out:"
        f" {others or left_out}"
    )


def _look_at(workspace: Workspace, summaries: list[LayerSummary]) -> str:
    """The command that shows the most telling feature of the last layer."""
    from ghosttrack_cli.cli.actions.feature_files import one_report, read_report
    from ghosttrack_cli.cli.actions.feature_list import Choice, choose_features

    layer, source = summaries[-1].layer, summaries[-1].source.slug
    stored = one_report(workspace, layer, source)
    feature = choose_features([(stored, read_report(stored))], Choice())[0].feature
    return f"interpret --layer {layer} --feature {feature}"


def plan_layers(session: Session, layers: tuple[AnySite, ...], *, again: bool = False) -> Outcome:
    """What interpretation would read and take; a little of it is done to find out."""
    whole = session.settings
    with session.monitor("plan") as monitor:
        from ghosttrack_cli.interpretation.plan import plan_interpretation
        from ghosttrack_cli.interpretation.stage import open_stage

        stage = open_stage(session.request(whole.interpretation), monitor)
        plan = plan_interpretation(stage, layers, again=again)
    checkpoint = whole.interpretation.checkpoint
    folders = [str(session.workspace.sae(layer, checkpoint)) for layer in layers]
    named = {"texts": whole.interpretation.texts, "saes": folders, "model": whole.model.name}
    document = {**asdict(plan), "total_seconds": plan.total_seconds, **named}
    return Outcome({"plan": document}, _plan_blocks(plan, whole.interpretation.texts, folders))


def plan_made_up(
    session: Session, store: ActivationStore, own: Mapping[AnySite, LayerSettings]
) -> InterpretationPlan:
    """The same for layers without SAEs, with made-up ones of the sizes that they will have.

    `store` is as it will be; where its rows are to be read, there are made-up rows.
    """
    request = session.request(session.settings.interpretation)
    settings = request.settings
    with session.monitor("plan") as monitor:
        monitor.begin(parts.MODEL)
        from ghosttrack_cli.interpretation.made_up import MadeUpRows, made_up_job
        from ghosttrack_cli.interpretation.plan import COUNTED_ROWS, plan_jobs
        from ghosttrack_cli.interpretation.sources.choose import open_source
        from ghosttrack_cli.interpretation.stage import Stage
        from ghosttrack_cli.model.residual import ResidualModel
        from ghosttrack_cli.training.targets import target_l0

        model = ResidualModel.load(
            request.model, cache_dir=request.cache_dir, notice=monitor.notice
        )
        monitor.begin(parts.TEXTS)
        source: RowSource
        if settings.texts == "store":
            rows = min(store.rows, settings.max_tokens or store.rows)
            source = MadeUpRows(model, rows, store.identity.context_length)
        else:
            source = open_source(request, model)
        jobs = [
            made_up_job(layer, model, source, d_hidden=sae.d_hidden, l0=target_l0(sae, training))
            for layer, (sae, training) in own.items()
        ]
        stage = Stage(model, source, settings, session.workspace, monitor)
        return plan_jobs(stage, tuple(own), jobs, source.count_rows(COUNTED_ROWS))


def _plan_blocks(plan: InterpretationPlan, texts: str, folders: list[str]) -> list[Line | Table]:
    words = f"{'' if plan.rows.known == 'exactly' else plan.rows.known + ' '}{plan.rows.number:,}"
    blocks: list[Line | Table] = [
        line(f"interpret {named_layers(plan.layers)} over {texts}: {words} rows"),
        *(line(f"  {folder}") for folder in folders),
    ]
    if not plan.todo:
        return [*blocks, line("nothing to do: all reports are current")]
    passes = "one pass" if plan.passes == 1 else f"{plan.passes} passes"
    parts = ", ".join(f"{name} {format_seconds(value)}" for name, value in plan.seconds.items())
    return [
        *blocks,
        line(
            f"memory: {format_bytes(plan.state_bytes)} for the features of layers"
            f" {format_layers(plan.todo)}, which go through the rows in {passes}"
        ),
        line(
            f"time: about {format_seconds(plan.total_seconds)} on this machine ({parts}),"
            f" from what the first {plan.probed_rows:,} rows took"
        ),
    ]
