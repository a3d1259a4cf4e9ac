"""Lists of features: which of them fit, in which order, and how they look as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.cli.actions.drawing import quoted
from ghosttrack_cli.cli.actions.feature_files import open_search
from ghosttrack_cli.cli.terminal.output import Column, Line, Span, Table
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.quantities import format_figure, format_percent
from ghosttrack_cli.report.feature_flags import FLAGS, flag_names
from ghosttrack_cli.report.search_index import search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ghosttrack_cli.report.contrast_schema import Contrast, ContrastEntry
    from ghosttrack_cli.report.schema import FeatureIndex, LayerReport
    from ghosttrack_cli.report.stored import StoredReport

LAYER = Column("layer", "right")
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
SEPARATION, TELLING = "separation", "telling"
ORDERS: Mapping[str, Callable[[FeatureIndex, int], float]] = {
    TELLING: lambda index, feature: -index.telling[feature],
    "rate": lambda index, feature: -index.rate[feature],
    "max": lambda index, feature: -index.max_act[feature],
    "mean": lambda index, feature: -index.mean_act[feature],
    "windows": lambda index, feature: -index.windows[feature],
    "feature": lambda _, feature: feature,
}


@dataclass(frozen=True)
class Choice:
    """Which features a list shows, and in which order; no order: best answers to a search first."""

    sort: str | None = None
    flag: str | None = None
    search: str | None = None
    source: str | None = None
    limit: int = 40

    def check(self) -> None:
        """Raise UsageError for an order or a flag that does not exist."""
        _known("--sort", self.sort or TELLING, [*ORDERS, SEPARATION])
        _known("--flag", self.flag or FLAGS[0], FLAGS)


@dataclass(frozen=True)
class Listed:
    """A feature of a report, with its place in the order: the smallest comes first."""

    stored: StoredReport
    report: LayerReport
    feature: int
    order: tuple[float, ...]

    @property
    def index(self) -> FeatureIndex:
        """The columns that hold its figures."""
        return self.report.index

    @property
    def contrast(self) -> ContrastEntry:
        """How it fires on true and false answers."""
        return next(
            entry for entry in contrast_of(self.report).entries if entry.feature == self.feature
        )


def choose_features(
    reports: Iterable[tuple[StoredReport, LayerReport]], choice: Choice
) -> list[Listed]:
    """The features of all reports that fit, in order; ties go to the smaller layer and number."""
    found = (one for stored, report in reports for one in _fitting(stored, report, choice))
    return sorted(found, key=lambda one: one.order)


def _fitting(stored: StoredReport, report: LayerReport, choice: Choice) -> Iterator[Listed]:
    index = report.index
    flag = 1 << FLAGS.index(choice.flag) if choice.flag else None
    orders = _search_orders(stored, report, choice)
    for place, feature in enumerate(_candidates(report, choice)):
        if (flag is None or index.flags[feature] & flag) and (orders is None or feature in orders):
            layer = stored.layer.order
            order: tuple[float, ...] = (place, *layer, feature)
            if choice.sort is None and orders is not None:
                order = orders[feature]
            elif choice.sort != SEPARATION:
                order = (ORDERS[choice.sort or TELLING](index, feature), *layer, feature)
            yield Listed(stored, report, feature, order)


def _search_orders(
    stored: StoredReport, report: LayerReport, choice: Choice
) -> dict[int, tuple[float, ...]] | None:
    """The features that the search finds, with their order; None without a search."""
    if choice.search is None:
        return None
    found = search(choice.search, open_search(stored, report))
    return {hit.feature: hit.order for hit in found}


def _candidates(report: LayerReport, choice: Choice) -> Iterable[int]:
    """All features, or those that were compared on true and false answers, the surest first."""
    if choice.sort != SEPARATION:
        return range(len(report.index.firings))
    return [entry.feature for entry in contrast_of(report).entries]


def contrast_of(report: LayerReport) -> Contrast:
    """The comparison of true and false answers.

    Raises:
        UsageError: the report was not made over such answers.
    """
    if report.contrast is None:
        raise UsageError(
            f"--sort {SEPARATION}: layer {report.layer} was not read over true and false answers",
            hint="ghosttrack interpret --texts truthfulqa",
        )
    return report.contrast


def list_table(shown: Sequence[Listed], choice: Choice, *, several: bool) -> Table:
    """The features as a table, with their layer where there are several."""
    separation = choice.sort == SEPARATION
    columns = CONTRAST_COLUMNS if separation else LIST_COLUMNS
    rows = [_contrast_cells(one) if separation else _cells(one) for one in shown]
    if several:
        columns = (LAYER, *columns)
        rows = [[f"{one.stored.layer}", *cells] for one, cells in zip(shown, rows, strict=True)]
    return Table(columns, tuple(_line(cells) for cells in rows))


def _line(cells: Sequence[str]) -> Line:
    return tuple(Span(cell) for cell in cells)


def _cells(one: Listed) -> list[str]:
    index, feature = one.index, one.feature
    return [
        f"{feature}",
        format_percent(index.rate[feature]),
        f"{index.firings[feature]:,}",
        format_figure(index.max_act[feature]),
        format_figure(index.mean_act[feature]),
        ", ".join(flag_names(index.flags[feature])),
        _tokens(one),
    ]


def _contrast_cells(one: Listed) -> list[str]:
    """The rates on both kinds of answers."""
    entry = one.contrast
    return [
        f"{one.feature}",
        format_percent(entry.rate_factual),
        format_percent(entry.rate_hallucinated),
        f"{entry.effect:+.2f}",
        format_figure(entry.p_corrected),
        _tokens(one),
    ]


def _tokens(one: Listed) -> str:
    return " ".join(quoted(text) for text in one.index.tokens[one.feature])


def list_entry(one: Listed, choice: Choice) -> dict[str, Any]:
    """A feature for --json."""
    index, feature = one.index, one.feature
    entry: dict[str, Any] = {
        "layer": one.stored.layer,
        "feature": feature,
        "rate": index.rate[feature],
        "firings": index.firings[feature],
        "windows": index.windows[feature],
        "max_act": index.max_act[feature],
        "mean_act": index.mean_act[feature],
        "telling": index.telling[feature],
        "flags": flag_names(index.flags[feature]),
        "tokens": index.tokens[feature],
    }
    if choice.sort == SEPARATION:
        entry["contrast"] = one.contrast.model_dump(mode="json")
    return entry


def _known(flag: str, value: str, valid: Iterable[str]) -> None:
    if value not in valid:
        raise UsageError(
            f"{flag}: {value} is not valid, it takes one of {', '.join(valid)}",
            hint="ghosttrack interpret list --help",
        )
