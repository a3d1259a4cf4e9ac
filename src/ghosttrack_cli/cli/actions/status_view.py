"""How `status` looks: one table of layers, the checklist, the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.cli.actions.drawing import curve
from ghosttrack_cli.cli.output import Column, Line, Span, Table, line
from ghosttrack_cli.overview.layers import CURVES
from ghosttrack_cli.quantities import format_amount, format_bytes

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.overview.checklist import Check
    from ghosttrack_cli.overview.gather import Overview
    from ghosttrack_cli.overview.layers import LayerStatus, Retraining, TrainingStatus
    from ghosttrack_cli.overview.next_step import Step

NOTHING = "-"
VERDICTS = {True: Span("met", "green"), False: Span("not met", "red"), None: Span("open", "yellow")}
LAYER_COLUMNS = (
    Column("layer", "right"),
    Column("stored", "right"),
    Column("size", "right"),
    Column("trained", "right"),
    Column("recon", "right"),
    Column("FVU", "right"),
    Column("L0", "right"),
    Column("dead", "right"),
    Column("features", "right"),
)
COURSE_WIDTH = 12
CHECK_COLUMNS = (Column("checklist"), Column("target"), Column("value"), Column("verdict"))


def status_blocks(session: Session, overview: Overview, step: Step) -> list[Line | Table]:
    """Everything that `status` shows, in order."""
    blocks: list[Line | Table] = _heading(session, overview)
    blocks += [line(Span("at work    ", "bold"), words) for words in overview.running]
    blocks += [line(Span("damaged    ", "bold red"), problem) for problem in overview.problems]
    if overview.layers:
        blocks += [
            line(),
            Table(LAYER_COLUMNS, tuple(_layer_row(one, overview) for one in overview.layers)),
            *_courses(overview),
        ]
        blocks += [line(), Table(CHECK_COLUMNS, tuple(_check_row(one) for one in overview.checks))]
        blocks += _footnote(overview)
    blocks += [line(), *_next(session, overview, step)]
    return blocks


def _heading(session: Session, overview: Overview) -> list[Line | Table]:
    heading: list[Line | Table] = [line(Span("workspace  ", "bold"), str(session.workspace.root))]
    if overview.store is None:
        return heading
    store = overview.store
    return [
        *heading,
        line(Span("model      ", "bold"), store.model, f", d_model {store.d_model}, {store.dtype}"),
        line(Span("corpus     ", "bold"), f"{store.corpus}, context {store.context_length}"),
        line(
            Span("store      ", "bold"),
            f"{store.rows:,} of {store.asked_rows:,} rows a layer, {format_bytes(store.bytes)}",
        ),
    ]


def _layer_row(one: LayerStatus, overview: Overview) -> Line:
    stored = f"{format_amount(one.rows)} of {format_amount(one.asked_rows)}" if one.rows else ""
    training, report = one.training, one.interpretation
    metrics = [training.recon_loss, training.fvu, training.l0] if training else [None, None, None]
    return tuple(
        Span(cell or NOTHING)
        for cell in (
            str(one.layer),
            stored,
            format_bytes(one.bytes) if one.bytes else "",
            _trained(training, at_work=bool(overview.running)),
            *("" if value is None else f"{value:.3g}" for value in metrics),
            _percent(training.dead) if training else "",
            f"{report.features:,}" if report else "",
        )
    )


def _courses(overview: Overview) -> list[Line | Table]:
    """How the metrics came to be what they are, one line of small curves a layer."""
    rows = tuple(
        (Span(str(one.layer)), *(_course(one.training.curves[name]) for name in CURVES))
        for one in overview.layers
        if one.training and any(map(len, one.training.curves.values()))
    )
    columns = (Column("layer", "right"), *(Column(f"{name} by step") for name in CURVES))
    return [line(), Table(columns, rows), *_behind_courses(overview)] if rows else []


def _behind_courses(overview: Overview) -> list[Line | Table]:
    """The rows behind the small curves, which are fewer than those behind the last figures."""
    trained = [one.training for one in overview.layers if one.training]
    rows = sorted({int(count) for one in trained for count in one.curve_rows})
    if not rows:
        return []
    return [line(Span(f"loss, L0 and FVU by step on {_span(rows)} held-out rows", "dim"))]


def _course(values: tuple[float, ...]) -> Span:
    return Span(curve(values, COURSE_WIDTH) or NOTHING, "cyan")


def _trained(training: TrainingStatus | None, *, at_work: bool) -> str:
    if training is None:
        return ""
    anew = training.retraining
    if training.finished:
        return f"yes, anew {_share(anew, at_work=at_work)}" if anew else "yes"
    return _share(training, at_work=at_work)


def _share(training: TrainingStatus | Retraining, *, at_work: bool) -> str:
    """How far a training that is not finished is, and why it is not."""
    share = training.step / training.total_steps if training.total_steps else 0
    killed = training.state == "running" and not at_work
    return f"{share:.0%} {'interrupted' if killed else training.state}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _check_row(check: Check) -> Line:
    verdict = VERDICTS[check.met] if check.required else Span(VERDICTS[check.met].text, "dim")
    return (Span(check.name), Span(check.target), Span(check.value), verdict)


def _footnote(overview: Overview) -> list[Line | Table]:
    """The row counts behind the metrics, which mean nothing without them."""
    trained = [one.training for one in overview.layers if one.training]
    rows = sorted({one.rows for one in trained if one.rows})
    dead_rows = sorted({one.dead_rows for one in trained if one.dead_rows})
    notes = []
    if rows:
        notes.append(f"recon, FVU and L0 on {_span(rows)} held-out rows")
    if dead_rows:
        notes.append(f"dead: no firing in {_span(dead_rows)} rows")
    return [line(), line(Span("; ".join(notes), "dim"))] if notes else []


def _span(values: list[int]) -> str:
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def _next(session: Session, overview: Overview, step: Step) -> list[Line | Table]:
    blocks: list[Line | Table] = []
    if overview.browser:
        blocks.append(line(Span("browser  ", "bold"), str(overview.browser)))
    if step.command is not None:
        command = Span(session.again(step.command), "bold cyan")
        blocks.append(line(Span("next     ", "bold"), command, Span(f"   {step.why}", "dim")))
    return blocks
