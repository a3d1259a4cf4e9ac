"""One feature in the terminal, in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.cli.actions.drawing import example_line, quoted, sparkline
from ghosttrack_cli.cli.terminal.output import Column, Line, Span, Table, line
from ghosttrack_cli.quantities import format_figure, format_percent

if TYPE_CHECKING:
    from ghosttrack_cli.report.contrast_schema import Contrast
    from ghosttrack_cli.report.feature_schema import FeatureReport, LogitEntry, Neighbour
    from ghosttrack_cli.site import AnySite

TOKEN_ROWS = 8
TOP_EXAMPLES = 10
LOGITS = 8
TOKEN_COLUMNS = (
    Column("fires on token"),
    Column("count", "right"),
    Column("P(token|fires)", "right"),
    Column("of rows", "right"),
    Column("P(fires|token)", "right"),
    Column("lift", "right"),
)


def feature_blocks(
    layer: AnySite,
    one: FeatureReport,
    *,
    contrast: Contrast | None = None,
    examples: int = TOP_EXAMPLES,
) -> list[Line | Table]:
    """Everything that the terminal shows about a feature."""
    flags = f"   {', '.join(one.flags)}" if one.flags else ""
    blocks: list[Line | Table] = [
        line(Span(f"layer {layer}  feature {one.feature}", "bold"), Span(flags, "yellow")),
        line(_rate_words(one)),
        *_contrast_lines(one, contrast),
    ]
    if one.firings:
        blocks += [*_activation_lines(one), line(), line(Span("top examples", "bold"))]
        blocks += [example_line(one.examples[i], one.max_act) for i in one.top[:examples]]
    if one.tokens:
        blocks += [line(), Table(TOKEN_COLUMNS, _token_rows(one))]
    return [*blocks, *_weight_lines(one)]


def _rate_words(one: FeatureReport) -> str:
    if not one.firings:
        return f"never fired in {one.rows:,} rows: below {format_percent(one.rate_high)} with 95%"
    return (
        f"fires on {one.firings:,} of {one.rows:,} rows: {format_percent(one.rate)}"
        f" ({format_percent(one.rate_low)} to {format_percent(one.rate_high)}),"
        f" in {one.windows:,} of {one.windows_seen:,} windows"
    )


def _activation_lines(one: FeatureReport) -> list[Line]:
    lines = [
        line(
            f"activation  max {format_figure(one.max_act)}, mean {format_figure(one.mean_act)} ±"
            f" {format_figure(one.std_act)}  ",
            Span(sparkline(one.histogram.counts), "cyan"),
        )
    ]
    if one.positions.counts:
        lines.append(line("position    ", Span(sparkline(one.positions.counts), "cyan")))
    return lines


def _contrast_lines(one: FeatureReport, contrast: Contrast | None) -> list[Line]:
    """How it fires on factual against hallucinated answers, if that was asked."""
    if contrast is None:
        return []
    return [
        line(
            f"on factual answers {format_percent(entry.rate_factual)} of"
            f" {contrast.rows_factual:,} rows, on hallucinated"
            f" {format_percent(entry.rate_hallucinated)} of {contrast.rows_hallucinated:,};"
            f" more on {entry.more_factual:,} against {entry.more_hallucinated:,} of"
            f" {contrast.questions:,} questions, p {format_figure(entry.p_corrected)} corrected"
        )
        for entry in contrast.entries
        if entry.feature == one.feature
    ]


def _token_rows(one: FeatureReport) -> tuple[Line, ...]:
    return tuple(
        (
            Span(quoted(token.text)),
            Span(f"{token.count:,}"),
            Span(format_percent(token.p_token_given_fires)),
            Span(f"{token.occurrences:,}"),
            Span(format_percent(token.p_fires_given_token)),
            Span(format_figure(token.lift)),
        )
        for token in one.tokens[:TOKEN_ROWS]
    )


def _weight_lines(one: FeatureReport) -> list[Line | Table]:
    lines: list[Line | Table] = [line()]
    promoted = _logits(one.promoted) if one.promoted else "not known for this model"
    lines.append(line(Span("promotes    ", "bold"), promoted))
    if one.suppressed:
        lines.append(line(Span("suppresses  ", "bold"), _logits(one.suppressed)))
    if one.neighbours:
        near = "  ".join(_neighbour(other) for other in one.neighbours)
        lines.append(line(Span("neighbours  ", "bold"), near))
    return lines


def _neighbour(other: Neighbour) -> str:
    together = "" if other.cofires is None else f", {other.cofires:,} rows"
    return f"{other.feature} ({format_figure(other.cosine)}{together})"


def _logits(entries: list[LogitEntry]) -> str:
    return "  ".join(f"{quoted(one.text)} {one.logit:+.2f}" for one in entries[:LOGITS])
