"""Features on the command line: one in full, or a list of many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli.cli.actions.feature_files import (
    move_old_reports,
    one_report,
    other_sources,
    present_reports,
    read_feature,
    read_report,
    wanted_source,
)
from ghosttrack_cli.cli.actions.feature_list import (
    SEPARATION,
    Choice,
    choose_features,
    contrast_of,
    list_entry,
    list_table,
)
from ghosttrack_cli.cli.actions.feature_view import feature_blocks
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.sae.checksums import is_outdated
from ghosttrack_cli.site import MAX_LAYERS, format_layers, parse_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.report.schema import LayerReport
    from ghosttrack_cli.report.stored import StoredReport
    from ghosttrack_cli.site import AnySite, Site


def show_feature(session: Session, layers: str | None, feature: int, source: str | None) -> None:
    """Show one feature of the layer that `layers` names, over `source` or the newest one."""
    layer = None if layers is None else _one_layer(layers, f" --feature {feature}")
    move_old_reports(session)
    chosen = one_report(session.workspace, layer, wanted_source(session, source))
    found, report = read_feature(chosen, feature), read_report(chosen)
    outdated = warn_outdated(session, [(chosen, report)])
    document = {
        "layer": chosen.layer,
        "source": chosen.source,
        "outdated": bool(outdated),
        **found.model_dump(mode="json"),
    }
    blocks = feature_blocks(chosen.layer, found, contrast=report.contrast)
    session.emit(document, lambda console: console.blocks(blocks))
    said = f"over {report.counts.rows:,} rows of {report.source.name}"
    session.console.detail(said + _others(session, chosen))


def _one_layer(text: str, others: str = "") -> Site:
    """The layer that is named, and no more than one; `others` are the flags to give with it."""
    chosen = parse_layers(text, MAX_LAYERS)
    if len(chosen) > 1 or text.strip().lower() == "middle":
        first = 0 if text.strip().isalpha() else chosen[0]
        raise UsageError("--layer: name one layer", hint=f"--layer {first}{others}")
    return chosen[0]


def warn_outdated(
    session: Session, reports: Sequence[tuple[StoredReport, LayerReport]]
) -> set[Site]:
    """Say which layers' SAEs were replaced since their reports were made; give those layers."""
    workspace = session.workspace
    found = {
        one.layer
        for one, report in reports
        if is_outdated(workspace, one.layer, report.sae.checkpoint, report.sae.weights_sha256)
    }
    if found:
        layers = format_layers(sorted(found))
        session.console.notice(
            f"layer {layers}: the report is of an earlier SAE, whose features differ; "
            f"update it: {session.again(f'interpret --layers {layers}')}"
        )
    return found


def _others(session: Session, chosen: StoredReport) -> str:
    """Where else the layer has a report."""
    others = other_sources(session.workspace, chosen)
    return f"; other reports: --source {' or '.join(others)}" if others else ""


def show_list(session: Session, text: str | None, choice: Choice) -> None:
    """Show the features that fit `choice`: of the layer in `text`, or of all where it searches."""
    layer = None if text is None else _one_layer(text)
    choice.check()
    move_old_reports(session)
    chosen = _reports(session, layer, choice)
    reports = [(one, read_report(one)) for one in chosen]
    found = choose_features(reports, choice)
    shown = found[: choice.limit]
    outdated = warn_outdated(session, reports)
    layers = [
        {
            "layer": one.layer,
            "source": one.source,
            "rows": report.counts.rows,
            "outdated": one.layer in outdated,
        }
        for one, report in reports
    ]
    document: dict[str, Any] = {
        **(layers[0] if len(layers) == 1 else {"layers": layers}),
        "found": len(found),
        "features": [list_entry(one, choice) for one in shown],
    }
    table = list_table(shown, choice, several=len(layers) > 1)
    session.emit(document, lambda console: console.table(table))
    few = f"{len(shown):,} of {len(found):,} features; --limit shows more; "
    behind = "; ".join(dict.fromkeys(_behind(report, choice) for _, report in reports))
    others = _others(session, chosen[0]) if len(chosen) == 1 else ""
    session.console.detail((few if len(shown) < len(found) else "") + behind + others)


def _reports(session: Session, layer: AnySite | None, choice: Choice) -> list[StoredReport]:
    source = wanted_source(session, choice.source)
    if layer is None and choice.search is not None:
        return present_reports(session.workspace, source)
    return [one_report(session.workspace, layer, source)]


def _behind(report: LayerReport, choice: Choice) -> str:
    """The rows behind the numbers of a list."""
    if choice.sort != SEPARATION:
        return f"over {report.counts.rows:,} rows of {report.source.name}"
    contrast = contrast_of(report)
    return (
        f"over {contrast.rows_factual:,} rows of factual and {contrast.rows_hallucinated:,} of"
        f" hallucinated answers to {contrast.questions:,} questions"
    )
