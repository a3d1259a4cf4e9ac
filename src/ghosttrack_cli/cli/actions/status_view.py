"""How `status` looks: one table of layers, the checklist, the next command."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ghosttrack_cli.cli.actions.drawing import curve
from ghosttrack_cli.cli.terminal.layout import lay_out
from ghosttrack_cli.cli.terminal.output import Column, Line, Span, Table, command_line, line
from ghosttrack_cli.quantities import (
    format_amount,
    format_bytes,
    format_done,
    format_figure,
    format_percent,
    format_seconds,
    format_share,
)
from ghosttrack_cli.status.layer_status import CURVES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.status.checklist import Check
    from ghosttrack_cli.status.gather import Overview
    from ghosttrack_cli.status.layer_status import (
        InterpretationStatus,
        LayerStatus,
        Retraining,
        TrainingStatus,
    )
    from ghosttrack_cli.status.next_step import Step

NOTHING = "-"
VERDICTS = {True: Span("met", "green"), False: Span("not met", "red"), None: Span("open", "yellow")}
COURSE_WIDTH = 12
CHECK_COLUMNS = (
    Column("checklist"),
    Column("target", cut=True),
    Column("value", cut=True),
    Column("verdict"),
)


def status_blocks(
    session: Session, overview: Overview, step: Step, left: float | None = None
) -> list[Line | Table]:
    """Everything that `status` shows, in order; `left` are seconds to the end of an extraction."""
    sections = _sections(session, overview, step, left)
    order = ("workspace", "store", "work", "damage", "layers", "courses", "checks", "notes", "next")
    return _spaced([sections[name] for name in order])


def watched_blocks(
    session: Session,
    overview: Overview,
    step: Step,
    left: float | None,
    size: tuple[int, int],
) -> list[Line | Table]:
    """What of it fits a terminal of so many columns and rows, the most important first."""
    unmet_first = sorted(overview.checks, key=lambda check: check.met is True)
    overview = replace(overview, checks=tuple(unmet_first))
    sections = _sections(session, overview, step, left)
    order = ("workspace", "work", "damage", "next", "checks", "layers", "store", "notes", "courses")
    columns, rows = size
    shown: list[list[Line | Table]] = []
    for name in order:
        room = rows - 1 - len(lay_out(_spaced([*shown, [line()]]), columns))
        shown.append(_fitting(sections[name], columns, room))
    return _spaced(shown)


def _fitting(section: list[Line | Table], columns: int, rows: int) -> list[Line | Table]:
    """A section as it is, else its table as far as there are rows for it, or nothing."""
    if len(lay_out(section, columns)) <= rows:
        return section
    for table in section:
        for kept in range(len(table.rows) - 1, 0, -1) if isinstance(table, Table) else ():
            assert isinstance(table, Table)
            fewer = replace(table, rows=table.rows[:kept])
            more = line(Span(f"and {len(table.rows) - kept} more", "dim"))
            if len(lay_out([fewer, more], columns)) <= rows:
                return [fewer, more]
    return []


def _spaced(sections: list[list[Line | Table]]) -> list[Line | Table]:
    """Sections with an empty line between them, those without lines left out."""
    there = [section for section in sections if section]
    blocks: list[Line | Table] = []
    for section in there:
        blocks += [line(), *section] if blocks else section
    return blocks


def _sections(
    session: Session, overview: Overview, step: Step, left: float | None
) -> dict[str, list[Line | Table]]:
    checks = tuple(_check_row(one) for one in overview.checks)
    return {
        "workspace": [_labelled("workspace", str(session.workspace.root))],
        "store": _store(overview),
        "work": _work(overview, left),
        "damage": [_labelled("problem", problem, "bold red") for problem in overview.problems],
        "layers": [_layer_table(overview)] if overview.layers else [],
        "courses": _courses(overview),
        "checks": [Table(CHECK_COLUMNS, checks)] if overview.layers else [],
        "notes": _footnote(overview),
        "next": _next(session, overview, step),
    }


def _labelled(label: str, text: str, style: str = "bold") -> Line:
    return line(Span(f"{label:11}", style), text)


def _work(overview: Overview, left: float | None) -> list[Line | Table]:
    """Who is at work, and how far what it does is."""
    if not overview.running:
        left_over = overview.reclaimable_bytes
        words = f"{format_bytes(left_over)}, which the next run removes"
        return [_labelled("left over", words)] if left_over else []
    lines: list[Line | Table] = [_labelled("at work", words) for words in overview.running]
    store = overview.store
    if store and not store.complete and 0 < store.rows < store.asked_rows:
        lines.append(_labelled("", _pace("extract", store.rows, store.asked_rows, "tokens", left)))
    for one in overview.layers:
        training = one.training
        if training and training.state == "running" and training.step < training.total_steps:
            words = _pace(
                f"train layer {one.layer}",
                training.step,
                training.total_steps,
                "steps",
                training.seconds_left,
            )
            lines.append(_labelled("", words))
    return lines


def _pace(what: str, done: int, total: int, unit: str, left: float | None) -> str:
    words = f"{what}: {format_done(done, total, unit)}, {format_share(done / total)}"
    return words if left is None else f"{words}, about {format_seconds(left)} left"


def _store(overview: Overview) -> list[Line | Table]:
    store = overview.store
    if store is None:
        return []
    rows = f"{store.rows:,} of {store.asked_rows:,} rows per layer"
    if store.corpus_ended:
        rows = f"{rows}, all that the corpus has"
    return [
        _labelled("model", f"{store.model}, d_model {store.d_model}, {store.dtype}"),
        _labelled("corpus", f"{store.corpus}, context {store.context_length}"),
        _labelled("store", f"{rows}, {format_bytes(store.bytes)}"),
    ]


def _layer_table(overview: Overview) -> Table:
    """The table of layers: what each column shows of one, where there is something to show."""
    at_work = bool(overview.running)
    cells: dict[str, Callable[[LayerStatus], str]] = {
        "layer": lambda one: str(one.layer),
        "stored": _stored,
        "size": lambda one: format_bytes(one.bytes) if one.bytes else "",
        "trained": lambda one: _trained(one.training, at_work=at_work),
        "recon": _metric("recon_loss", format_figure),
        "FVU": _metric("fvu", format_figure),
        "L0": _metric("l0", format_figure),
        "dead": _metric("dead", format_percent),
        "features": lambda one: _features(one.interpretation),
    }
    rows = tuple(
        tuple(Span(cell(one) or NOTHING) for cell in cells.values()) for one in overview.layers
    )
    return Table(tuple(Column(name, "right") for name in cells), rows)


def _metric(name: str, written: Callable[[float], str]) -> Callable[[LayerStatus], str]:
    """The cell of a field of `TrainingStatus`."""

    def cell(one: LayerStatus) -> str:
        value = getattr(one.training, name, None)
        return "" if value is None else written(value)

    return cell


def _stored(one: LayerStatus) -> str:
    return f"{format_amount(one.rows)} of {format_amount(one.asked_rows)}" if one.rows else ""


def _features(report: InterpretationStatus | None) -> str:
    """How many the newest report has."""
    if report is None:
        return ""
    if report.damaged:
        return "damaged"
    return "outdated" if report.outdated else f"{report.features:,}"


def _courses(overview: Overview) -> list[Line | Table]:
    """How the metrics came to be what they are, one line of small curves a layer."""
    rows = tuple(
        (Span(str(one.layer)), *(_course(one.training.curves[name]) for name in CURVES))
        for one in overview.layers
        if one.training and any(map(len, one.training.curves.values()))
    )
    columns = (Column("layer", "right"), *(Column(f"{name} by step") for name in CURVES))
    return [Table(columns, rows), *_behind_courses(overview)] if rows else []


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
    retraining = training.retraining
    if training.finished and retraining:
        words = _share(retraining, at_work=at_work).removesuffix(" running")
        return f"yes, retraining {words}"
    if training.imported:
        return "imported"
    if training.finished:
        return "yes"
    return _share(training, at_work=at_work)


def _share(training: TrainingStatus | Retraining, *, at_work: bool) -> str:
    """How far a training that is not finished is, and why it is not."""
    share = training.step / training.total_steps if training.total_steps else 0
    killed = training.state == "running" and not at_work
    return f"{format_share(share)} {'interrupted' if killed else training.state}"


def _check_row(check: Check) -> Line:
    verdict = VERDICTS[check.met] if check.required else Span(VERDICTS[check.met].text, "dim")
    return (Span(check.name), Span(check.target), Span(check.value), verdict)


def _footnote(overview: Overview) -> list[Line | Table]:
    """The row counts behind the metrics, which mean nothing without them."""
    known = [one.training for one in overview.layers if one.training]
    trained = [one for one in known if not one.imported]
    rows = sorted({one.rows for one in trained if one.rows})
    dead_rows = sorted({one.dead_rows for one in trained if one.dead_rows})
    notes = []
    if rows:
        notes.append(f"recon, FVU and L0 on {_span(rows)} held-out rows")
    if dead_rows:
        notes.append(f"dead: no firing in {_span(dead_rows)} rows")
    lines: list[Line | Table] = [line(Span("; ".join(notes), "dim"))] if notes else []
    return [*lines, *_origins(overview)]


def _origins(overview: Overview) -> list[Line | Table]:
    """Where each imported SAE comes from, and the tokens behind its figures."""
    found = [(one.layer, one.training.imported) for one in overview.layers if one.training]
    return [
        line(
            Span(
                f"layer {layer} imported from {one.source} ({one.family}); "
                + (f"FVU and L0 on {one.tokens:,} tokens" if one.tokens else "not checked on text"),
                "dim",
            )
        )
        for layer, one in found
        if one is not None
    ]


def _span(values: list[int]) -> str:
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def _next(session: Session, overview: Overview, step: Step) -> list[Line | Table]:
    blocks: list[Line | Table] = []
    if overview.browser:
        blocks.append(_labelled("browser", str(overview.browser)))
    if step.command is not None:
        blocks.append(_labelled("next", step.why))
        blocks.append(command_line(session.again(step.command)))
    return blocks
