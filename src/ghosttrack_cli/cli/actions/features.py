"""Features on the command line: one in full, or a list of many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.cli.actions.drawing import token_text
from ghosttrack_cli.cli.actions.feature_files import one_layer, read_feature, read_report
from ghosttrack_cli.cli.actions.feature_view import feature_blocks
from ghosttrack_cli.cli.output import Column, Line, Span, Table
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.interpretation.report import FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.interpretation.report import FeatureIndex

LIST_COLUMNS = (
    Column("feature", "right"),
    Column("rate", "right"),
    Column("firings", "right"),
    Column("max", "right"),
    Column("mean", "right"),
    Column("flags"),
    Column("tokens"),
)
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
    limit: int = 40


def show_feature(session: Session, layers: str | None, feature: int) -> None:
    """Show one feature of the layer that `layers` names."""
    if layers is not None and not layers.strip().isdecimal():
        raise UsageError("--feature: name one layer with it", hint="--layer 6 --feature 123")
    layer = one_layer(session.workspace, None if layers is None else int(layers))
    found = read_feature(session.workspace, layer, feature)
    document = {"layer": layer, **found.model_dump(mode="json")}
    session.emit(document, lambda console: console.blocks(feature_blocks(layer, found)))


def show_list(session: Session, layer: int | None, choice: Choice) -> None:
    """Show the features of a layer that fit `choice`."""
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
    order = ORDERS[_known("--sort", choice.sort, ORDERS)]
    wanted = 0 if choice.flag is None else 1 << FLAGS.index(_known("--flag", choice.flag, FLAGS))
    needle = (choice.search or "").casefold()
    found = [
        feature
        for feature in range(len(index.firings))
        if (not wanted or index.flags[feature] & wanted)
        and (not needle or any(needle in text.casefold() for text in index.tokens[feature]))
    ]
    return sorted(found, key=lambda feature: order(index, feature))


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
        " ".join(repr(token_text(text)) for text in index.tokens[feature]),
    )
    return tuple(Span(cell) for cell in cells)
