"""Reads what `interpret` wrote, one layer or one feature at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import (
    CorruptionError,
    DiskError,
    LockedError,
    StateError,
    UsageError,
)
from ghosttrack_cli.report.feature_flags import flag_names
from ghosttrack_cli.report.feature_schema import FeatureReport, FeatureShard, shard_name
from ghosttrack_cli.report.report_files import REPORT, WholeReport
from ghosttrack_cli.report.schema import LayerReport
from ghosttrack_cli.report.search_files import read_tokens, read_words
from ghosttrack_cli.report.search_index import Searched
from ghosttrack_cli.report.stored import StoredReport, how_to_make, old_layouts, stored_reports

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import Workspace


def wanted_source(session: Session, source: str | None) -> str | None:
    """The source that was asked for, by name or by what `--texts` says; None: whichever is newest.

    Raises:
        CorpusError: no such texts.
    """
    if source is not None or "interpretation.texts" not in session.overrides:
        return source
    from ghosttrack_cli.interpretation.sources.choose import source_slug

    return source_slug(session.request(session.settings.interpretation))


def move_old_reports(session: Session) -> None:
    """Put reports of earlier versions where this one looks, before reports are read."""
    workspace, notice = session.workspace, session.console.notice
    if not old_layouts(workspace.interpretations):
        return
    from ghosttrack_cli.interpretation import old_layout

    try:
        with files.exclusive_lock(workspace.lock("interpret"), purpose="ghosttrack interpret"):
            old_layout.move_old_reports(workspace, notice)
    except (DiskError, LockedError) as error:
        notice(f"reports of an earlier version are not shown: {error.what}")


def present_reports(workspace: Workspace, source: str | None = None) -> list[StoredReport]:
    """One report for each layer that has any: over `source`, or the newest.

    `source` may be the beginning of a name.

    Raises:
        StateError: no layer has a report.
        UsageError: none over that source.
    """
    found = stored_reports(workspace.interpretations)
    if not found:
        raise StateError(
            f"no interpreted layer in {workspace.interpretations}", hint="ghosttrack interpret"
        )
    exact = [one for one in found if one.source == source]
    fitting = exact or [one for one in found if one.source.startswith(source or "")]
    if not fitting:
        names = ", ".join(sorted({one.source for one in found}))
        raise UsageError(
            f"no report over {source}, there are reports over {names}",
            hint=f"--source {found[0].source}",
        )
    newest = {one.layer: one for one in reversed(fitting)}
    return [newest[layer] for layer in sorted(newest)]


def one_report(
    workspace: Workspace, layer: AnySite | None, source: str | None = None
) -> StoredReport:
    """The report of the layer asked for, or of the only one that has one.

    Raises:
        StateError: no layer has a report.
        UsageError: that one has none, or several have and none was named.
    """
    present: dict[AnySite, StoredReport] = {
        one.layer: one for one in present_reports(workspace, source)
    }
    if layer is None and len(present) == 1:
        return next(iter(present.values()))
    if layer not in present:
        over = "" if source is None else f" over {source}"
        what = "which layer?" if layer is None else f"--layer: layer {layer} has no report{over},"
        known = layer is not None and layer in workspace.trained("best")
        first = next(iter(present))
        raise UsageError(
            f"{what} available: {', '.join(map(str, present))}",
            hint=f"ghosttrack interpret --layers {layer}" if known else f"--layer {first}",
        )
    return present[layer]


def other_sources(workspace: Workspace, one: StoredReport) -> list[str]:
    """The other sources over which the layer has a report, the newest first."""
    found = stored_reports(workspace.interpretations)
    return [other.source for other in found if other.layer == one.layer and other != one]


def read_report(one: StoredReport) -> LayerReport:
    """A report with the index of all features."""
    return _open(one).record(REPORT, LayerReport)


def read_feature(one: StoredReport, feature: int) -> FeatureReport:
    """Everything about one feature.

    Raises:
        UsageError: the SAE has no such feature.
    """
    report = _open(one)
    count = report.summary.counts.features
    if not 0 <= feature < count:
        raise UsageError(
            f"--feature: {feature} is not valid, layer {one.layer} has features 0 to {count - 1:,}",
            hint=f"ghosttrack interpret list --layer {one.layer}",
        )
    name = shard_name(feature)
    shard = report.record(name, FeatureShard)
    index = feature - shard.first
    if not 0 <= index < len(shard.features) or shard.features[index].feature != feature:
        raise CorruptionError(
            f"feature {feature} is not in {one.folder / name}", hint=how_to_make(one.folder)
        )
    return shard.features[index]


def open_search(one: StoredReport, report: LayerReport) -> Searched:
    """What a search looks into; the words of examples are read file by file."""
    opened = _open(one)
    tokens = read_tokens(opened)
    return Searched(
        layer=one.layer,
        flags=[flag_names(bits) for bits in report.index.flags],
        telling=report.index.telling,
        tokens=tokens,
        words=read_words(opened, tokens["files"]),
    )


def _open(one: StoredReport) -> WholeReport:
    try:
        return WholeReport(one.folder)
    except FileNotFoundError:
        hint = how_to_make(one.folder)
        raise StateError(f"no such report: {one.folder}", hint=hint) from None
