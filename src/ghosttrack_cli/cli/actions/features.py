"""Features on the command line: one in full, or a list of many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.cli.actions.drawing import quoted
from ghosttrack_cli.cli.actions.feature_files import (
    one_report,
    other_sources,
    read_feature,
    read_report,
    wanted_source,
)
from ghosttrack_cli.cli.actions.feature_view import feature_blocks
from ghosttrack_cli.cli.output import Column, Line, Span, Table
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.interpretation.report import FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.interpretation.report import (
        Contrast,
        ContrastEntry,
        FeatureIndex,
        LayerReport,
    )
    from ghosttrack_cli.stored_reports import StoredReport

TOKENS = Column("tokens", cut=True)  # a break inside the quotes would read as a space
LIST_COLUMNS = (
    Column("feature", "right"),
    Column("rate", "right"),
    Column("firings", "right"),
    Column("max", "right"),
    Column("mean", "right"),
    Column("flags"),
    TOKENS,
)
CONTRAST_COLUMNS = (
    *(
        Column(name, "right")
        for name in ("feature", "factual", "hallucinated", "effect", "p corrected")
    ),
    TOKENS,
)
SEPARATION = "separation"
ORDERS: Mapping[str, Callable[[FeatureIndex, int], float]] = {
    "rate": lambda index, feature: -index.rate[feature],
    "max": lambda index, feature: -index.max_act[feature],
    "mean": lambda index, feature: -index.mean_act[feature],
    "windows": lambda index, feature: -index.windows[feature],
    "feature": lambda _, feature: feature,
}


@dataclass(frozen=True)
class Choice:
    """Which features a list shows, and in which order."""

    sort: str = "rate"
    flag: str | None = None
    search: str | None = None
    source: str | None = None
    limit: int = 40


def show_feature(session: Session, layers: str | None, feature: int, source: str | None) -> None:
    """Show one feature of the layer that `layers` names, over `source` or the newest one."""
    if layers is not None and not layers.strip().isdecimal():
        raise UsageError("--feature: name one layer with it", hint="--layer 6 --feature 123")
    layer = None if layers is None else int(layers)
    chosen = one_report(session.workspace, layer, wanted_source(session, source))
    found, report = read_feature(chosen, feature), read_report(chosen)
    document = {"layer": chosen.layer, "source": chosen.source, **found.model_dump(mode="json")}
    blocks = feature_blocks(chosen.layer, found, contrast=report.contrast)
    session.emit(document, lambda console: console.blocks(blocks))
    said = f"over {report.counts.rows:,} rows of {report.source.name}"
    session.console.detail(said + _others(session, chosen))


def _others(session: Session, chosen: StoredReport) -> str:
    """Where else the layer has a report."""
    others = other_sources(session.workspace, chosen)
    return f"; other reports: --source {' or '.join(others)}" if others else ""


def show_list(session: Session, layer: int | None, choice: Choice) -> None:
    """Show the features of a layer that fit `choice`."""
    chosen = one_report(session.workspace, layer, wanted_source(session, choice.source))
    report = read_report(chosen)
    index = report.index
    found = choose_features(report, choice)
    shown = found[: choice.limit]
    document: dict[str, Any] = {
        "layer": chosen.layer,
        "source": chosen.source,
        "rows": report.counts.rows,
        "found": len(found),
        "features": [_entry(index, feature) for feature in shown],
    }
    table = Table(LIST_COLUMNS, tuple(_list_row(index, feature) for feature in shown))
    if choice.sort == SEPARATION:
        document["features"] = _with_contrast(report, document["features"])
        table = _contrast_table(report, shown)
    session.emit(document, lambda console: console.table(table))
    few = f"{len(shown):,} of {len(found):,} features; --limit shows more; "
    said = (few if len(shown) < len(found) else "") + _behind(report, choice)
    session.console.detail(said + _others(session, chosen))


def _behind(report: LayerReport, choice: Choice) -> str:
    """The rows behind the numbers of a list."""
    if choice.sort != SEPARATION:
        return f"over {report.counts.rows:,} rows of {report.source.name}"
    contrast = _contrast(report)
    return (
        f"over {contrast.rows_factual:,} rows of factual and {contrast.rows_hallucinated:,} of"
        f" hallucinated answers to {contrast.questions:,} questions"
    )


def choose_features(report: LayerReport, choice: Choice) -> list[int]:
    """The features that fit, in order; ties go to the smaller number."""
    index = report.index
    _known("--sort", choice.sort, [*ORDERS, SEPARATION])
    wanted = 0 if choice.flag is None else 1 << FLAGS.index(_known("--flag", choice.flag, FLAGS))
    needle = (choice.search or "").casefold()
    found = [
        feature
        for feature in _candidates(report, choice)
        if (not wanted or index.flags[feature] & wanted)
        and (not needle or any(needle in text.casefold() for text in index.tokens[feature]))
    ]
    if choice.sort == SEPARATION:
        return found
    return sorted(found, key=lambda feature: ORDERS[choice.sort](index, feature))


def _candidates(report: LayerReport, choice: Choice) -> Iterable[int]:
    """All features, or those that were compared on true and false answers, the surest first."""
    if choice.sort != SEPARATION:
        return range(len(report.index.firings))
    return [entry.feature for entry in _contrast(report).entries]


def _contrast(report: LayerReport) -> Contrast:
    if report.contrast is None:
        raise UsageError(
            f"--sort {SEPARATION}: layer {report.layer} was not read over true and false answers",
            hint="ghosttrack interpret --texts truthfulqa",
        )
    return report.contrast


def _contrast_entries(report: LayerReport) -> dict[int, ContrastEntry]:
    return {entry.feature: entry for entry in _contrast(report).entries}


def _with_contrast(report: LayerReport, features: list[dict[str, Any]]) -> list[dict[str, Any]]:
    entries = _contrast_entries(report)
    return [
        {**one, "contrast": entries[one["feature"]].model_dump(mode="json")} for one in features
    ]


def _contrast_table(report: LayerReport, shown: list[int]) -> Table:
    """The features with their rates on both kinds of answers."""
    entries = _contrast_entries(report)
    rows = tuple(_contrast_row(entries[feature], report.index) for feature in shown)
    return Table(CONTRAST_COLUMNS, rows)


def _contrast_row(entry: ContrastEntry, index: FeatureIndex) -> Line:
    cells = (
        f"{entry.feature}",
        f"{entry.rate_factual:.3%}",
        f"{entry.rate_hallucinated:.3%}",
        f"{entry.effect:+.2f}",
        f"{entry.p_corrected:.2g}",
        _tokens(index, entry.feature),
    )
    return tuple(Span(cell) for cell in cells)


def _tokens(index: FeatureIndex, feature: int) -> str:
    return " ".join(quoted(text) for text in index.tokens[feature])


def _known(flag: str, value: str, valid: Iterable[str]) -> str:
    if value not in valid:
        raise UsageError(
            f"{flag}: {value} is not valid, it takes one of {', '.join(valid)}",
            hint="ghosttrack interpret list --help",
        )
    return value


def flag_names(bits: int) -> list[str]:
    """The flags behind the bits of an index entry."""
    return [name for place, name in enumerate(FLAGS) if bits >> place & 1]


def _entry(index: FeatureIndex, feature: int) -> dict[str, Any]:
    return {
        "feature": feature,
        "rate": index.rate[feature],
        "firings": index.firings[feature],
        "windows": index.windows[feature],
        "max_act": index.max_act[feature],
        "mean_act": index.mean_act[feature],
        "flags": flag_names(index.flags[feature]),
        "tokens": index.tokens[feature],
    }


def _list_row(index: FeatureIndex, feature: int) -> Line:
    cells = (
        f"{feature}",
        f"{index.rate[feature]:.3%}",
        f"{index.firings[feature]:,}",
        f"{index.max_act[feature]:.3g}",
        f"{index.mean_act[feature]:.3g}",
        ", ".join(flag_names(index.flags[feature])),
        _tokens(index, feature),
    )
    return tuple(Span(cell) for cell in cells)
