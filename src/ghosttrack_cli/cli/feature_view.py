"""Features in the terminal: one in full, or a list of many."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.cli.drawing import example_line, sparkline, token_text
from ghosttrack_cli.cli.output import Column, Line, Span, Table, line
from ghosttrack_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.interpretation.report import FeatureIndex, FeatureReport, LogitEntry

TOKEN_ROWS = 8
TOP_EXAMPLES = 10
LOGITS = 8
TOKEN_COLUMNS = (
    Column("fires on token"),
    Column("count", "right"),
    Column("P(token|fires)", "right"),
    Column("P(fires|token)", "right"),
    Column("lift", "right"),
)
LIST_COLUMNS = (
    Column("feature", "right"),
    Column("rate", "right"),
    Column("firings", "right"),
    Column("max", "right"),
    Column("mean", "right"),
    Column("flags"),
    Column("tokens"),
)


class Sort(StrEnum):
    """Orders of a list of features."""

    rate = "rate"
    max = "max"
    mean = "mean"
    windows = "windows"
    feature = "feature"


@dataclass(frozen=True)
class Choice:
    """Which features a list shows, and in which order."""

    sort: Sort = Sort.rate
    flag: str | None = None
    search: str | None = None
    limit: int = 40


def show_feature(session: Session, layers: str | None, feature: int) -> None:
    """Show one feature of the layer that `layers` names."""
    from ghosttrack_cli.cli.feature_files import one_layer, read_feature

    if layers is not None and not layers.strip().isdecimal():
        raise UsageError("--feature: name one layer with it", hint="--layer 6 --feature 123")
    layer = one_layer(session.workspace, None if layers is None else int(layers))
    found = read_feature(session.workspace, layer, feature)
    document = {"layer": layer, **found.model_dump(mode="json")}
    session.emit(document, lambda console: console.blocks(feature_blocks(layer, found)))


def feature_blocks(layer: int, one: FeatureReport) -> list[Line | Table]:
    """Everything that the terminal shows about a feature."""
    flags = f"   {', '.join(one.flags)}" if one.flags else ""
    blocks: list[Line | Table] = [
        line(Span(f"layer {layer}  feature {one.feature}", "bold"), Span(flags, "yellow")),
        line(_rate_words(one)),
    ]
    if one.firings:
        blocks += [*_activation_lines(one), line(), line(Span("top examples", "bold"))]
        blocks += [example_line(one.examples[i], one.max_act) for i in one.top[:TOP_EXAMPLES]]
    if one.tokens:
        blocks += [line(), Table(TOKEN_COLUMNS, _token_rows(one))]
    return [*blocks, *_weight_lines(one)]


def _rate_words(one: FeatureReport) -> str:
    if not one.firings:
        return f"never fired in {one.rows:,} rows: below {one.rate_high:.2g} with 95 %"
    return (
        f"fires on {one.firings:,} of {one.rows:,} rows: {one.rate:.3%}"
        f" ({one.rate_low:.3%} to {one.rate_high:.3%}),"
        f" in {one.windows:,} of {one.windows_seen:,} windows"
    )


def _activation_lines(one: FeatureReport) -> list[Line]:
    lines = [
        line(
            f"activation  max {one.max_act:.3g}, mean {one.mean_act:.3g} ± {one.std_act:.2g}  ",
            Span(sparkline(one.histogram.counts), "cyan"),
        )
    ]
    if one.positions.counts:
        lines.append(line("position    ", Span(sparkline(one.positions.counts), "cyan")))
    return lines


def _token_rows(one: FeatureReport) -> tuple[Line, ...]:
    return tuple(
        (
            Span(repr(token_text(token.text))),
            Span(f"{token.count:,}"),
            Span(f"{token.p_token_given_fires:.1%}"),
            Span(f"{token.p_fires_given_token:.1%}"),
            Span(f"{token.lift:.3g}"),
        )
        for token in one.tokens[:TOKEN_ROWS]
    )


def _weight_lines(one: FeatureReport) -> list[Line | Table]:
    lines: list[Line | Table] = [line()]
    if one.promoted:
        lines.append(line(Span("promotes    ", "bold"), _logits(one.promoted)))
    if one.suppressed:
        lines.append(line(Span("suppresses  ", "bold"), _logits(one.suppressed)))
    if one.neighbours:
        near = "  ".join(f"{other.feature} ({other.cosine:.2f})" for other in one.neighbours)
        lines.append(line(Span("neighbours  ", "bold"), near))
    return lines if len(lines) > 1 else []


def _logits(entries: list[LogitEntry]) -> str:
    return "  ".join(f"{token_text(one.text)!r} {one.logit:+.2f}" for one in entries[:LOGITS])


def show_list(session: Session, layer: int | None, choice: Choice) -> None:
    """Show the features of a layer that fit `choice`."""
    from ghosttrack_cli.cli.feature_files import one_layer, read_report

    chosen = one_layer(session.workspace, layer)
    index = read_report(session.workspace, chosen).index
    found = choose_features(index, choice)
    shown = found[: choice.limit]
    document = {
        "layer": chosen,
        "found": len(found),
        "features": [_entry(index, feature) for feature in shown],
    }
    table = Table(LIST_COLUMNS, tuple(_list_row(index, feature) for feature in shown))
    session.emit(document, lambda console: console.table(table))
    if len(shown) < len(found):
        session.console.detail(f"{len(shown):,} of {len(found):,} features; --limit shows more")


def choose_features(index: FeatureIndex, choice: Choice) -> list[int]:
    """The features that fit, in order; ties go to the smaller number."""
    wanted = _flag_bit(choice.flag)
    needle = (choice.search or "").casefold()
    found = [
        feature
        for feature in range(len(index.firings))
        if (not wanted or index.flags[feature] & wanted)
        and (not needle or any(needle in text.casefold() for text in index.tokens[feature]))
    ]
    orders: Mapping[Sort, Callable[[int], float]] = {
        Sort.rate: lambda feature: -index.rate[feature],
        Sort.max: lambda feature: -index.max_act[feature],
        Sort.mean: lambda feature: -index.mean_act[feature],
        Sort.windows: lambda feature: -index.windows[feature],
        Sort.feature: lambda feature: feature,
    }
    return sorted(found, key=orders[choice.sort])


def _flag_bit(flag: str | None) -> int:
    from ghosttrack_cli.interpretation.report import FLAGS

    if flag is None:
        return 0
    if flag not in FLAGS:
        raise UsageError(
            f"--flag: {flag} is not valid, it takes one of {', '.join(FLAGS)}",
            hint="ghosttrack interpret list --help",
        )
    return 1 << FLAGS.index(flag)


def flag_names(bits: int) -> list[str]:
    """The flags behind the bits of an index entry."""
    from ghosttrack_cli.interpretation.report import FLAGS

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
        " ".join(repr(token_text(text)) for text in index.tokens[feature]),
    )
    return tuple(Span(cell) for cell in cells)
