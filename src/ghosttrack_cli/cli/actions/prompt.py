"""Which features fire on a text that stands on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.cli.actions.drawing import quoted, shade, token_text
from ghosttrack_cli.cli.actions.feature_files import move_old_reports, present_reports, read_report
from ghosttrack_cli.cli.actions.features import warn_outdated
from ghosttrack_cli.cli.actions.interpret import layers_to_interpret
from ghosttrack_cli.cli.terminal.output import Column, Line, Span, Table, line
from ghosttrack_cli.errors import GhostTrackError
from ghosttrack_cli.interpretation.parts import PROMPT_FEATURES, PROMPT_MODEL, PROMPT_PAGE
from ghosttrack_cli.quantities import format_figure
from ghosttrack_cli.report.stored import stored_reports

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ghosttrack_cli.browser.prompt import PromptFeature, PromptLayer, PromptReport
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.report.stored import StoredReport
    from ghosttrack_cli.site import AnySite

TOKENS, INDENT, BY_TOKEN = 5, 9, 5
TOKEN_COLUMNS = (Column("token", "right"), Column("strongest features, activation"))


def prompt(session: Session, text: str, layers: str | None, top: int, source: str | None) -> None:
    """Show for each layer the features that fire most on `text`, and keep them for the page."""
    chosen = layers_to_interpret(session, layers)
    move_old_reports(session)
    reports = reports_beside(session, chosen, source)
    settings, workspace = session.settings, session.workspace
    with session.monitor("prompt") as monitor:
        monitor.begin(PROMPT_MODEL)
        from ghosttrack_cli.interpretation.prompt import explain_prompt, show_on_page
        from ghosttrack_cli.model.residual import ResidualModel

        model = ResidualModel.load(
            settings.model, cache_dir=settings.paths.cache_dir, notice=monitor.notice
        )
        monitor.begin(PROMPT_FEATURES)
        report = explain_prompt(text, chosen, settings.interpretation, model, workspace)
        refused = None
        if workspace.browser.is_file():
            monitor.begin(PROMPT_PAGE)
            try:
                show_on_page(workspace, report, monitor)
            except GhostTrackError as error:
                refused = error.what
    blocks = prompt_blocks(report, top, known_tokens(session, reports))
    document = report.model_dump(mode="json", exclude={"schema_version"})
    for entry, layer in zip(document["layers"], report.layers, strict=True):
        entry["strongest"] = [
            [{"feature": one.feature, "act": act} for act, one in found]
            for found in strongest_by_token(layer, len(report.ids))
        ]
        entry["source"] = reports[layer.layer].source if layer.layer in reports else None
    session.emit({**document, "page_error": refused}, lambda console: console.blocks(blocks))
    if refused is not None:
        session.console.notice(f"the page does not show this prompt: {refused}")


def reports_beside(
    session: Session, layers: Iterable[AnySite], source: str | None
) -> dict[AnySite, StoredReport]:
    """By layer the report over `source`, or the newest; none for a layer that has none.

    Raises:
        UsageError: no layer has a report over that source.
    """
    if source is not None:
        found = present_reports(session.workspace, source)
        return {one.layer: one for one in found if one.layer in set(layers)}
    stored = stored_reports(session.workspace.interpretations)
    return {one.layer: one for one in reversed(stored) if one.layer in set(layers)}


def known_tokens(
    session: Session, reports: Mapping[AnySite, StoredReport]
) -> dict[AnySite, list[list[str]]]:
    """By layer and feature the tokens that it fires on, from a report of each layer."""
    known: dict[AnySite, list[list[str]]] = {}
    for layer, stored in sorted(reports.items()):
        try:
            report = read_report(stored)
            if not warn_outdated(session, [(stored, report)]):
                known[layer] = report.index.tokens
        except GhostTrackError as error:
            session.console.notice(f"no tokens beside the features: {error.what}")
    return known


def strongest_by_token(layer: PromptLayer, tokens: int) -> list[list[tuple[float, PromptFeature]]]:
    """For each token the features that fire most on it, with their activations there."""
    found = []
    for place in range(tokens):
        firing = [(one.acts[place], one) for one in layer.features if one.acts[place] > 0]
        found.append(sorted(firing, key=lambda pair: (-pair[0], pair[1].feature))[:BY_TOKEN])
    return found


def token_table(layer: PromptLayer, texts: list[str]) -> Table:
    """The text down the page, with the strongest features of each token."""
    rows = []
    for text, found in zip(texts, strongest_by_token(layer, len(texts)), strict=True):
        cells = "  ".join(f"#{one.feature} {format_figure(act)}" for act, one in found)
        rows.append((Span(quoted(text)), Span(cells or "-")))
    return Table(TOKEN_COLUMNS, tuple(rows))


def prompt_blocks(
    report: PromptReport, top: int, known: Mapping[AnySite, list[list[str]]]
) -> list[Line | Table]:
    """The strongest `top` features of each layer, with the text coloured by each."""
    blocks: list[Line | Table] = []
    for layer in report.layers:
        firing = sorted(layer.features, key=lambda one: -max(one.acts))
        shown = f", strongest {top}" if len(firing) > top else ""
        blocks += [
            line(Span(f"layer {layer.layer}", "bold"), f"  {len(firing):,} features fire{shown}"),
            *(
                shown_line
                for one in firing[:top]
                for shown_line in _feature_lines(one, report.texts, known.get(layer.layer))
            ),
            line(),
            token_table(layer, report.texts),
            line(),
        ]
    return blocks[:-1]


def _feature_lines(
    one: PromptFeature, texts: list[str], known: list[list[str]] | None
) -> list[Line]:
    """What the feature is known to fire on, then the text with where it fires here."""
    tokens = known[one.feature][:TOKENS] if known and one.feature < len(known) else []
    head = line(
        Span(f"{one.feature:7}", "bold cyan"),
        f"{format_figure(max(one.acts)):>9}  ",
        " ".join(map(quoted, tokens)),
    )
    return [head, _text_line(one, texts)]


def _text_line(one: PromptFeature, texts: list[str]) -> Line:
    largest = max(one.acts)
    spans = [Span(" " * INDENT)]
    for text, act in zip(texts, one.acts, strict=True):
        shown = token_text(text)
        peak = act == largest
        spans.append(Span(f"«{shown}»" if peak else shown, shade(act, largest), focus=peak))
    return tuple(spans)
