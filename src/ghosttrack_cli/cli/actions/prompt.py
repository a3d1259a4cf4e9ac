"""Which features fire on a text that stands on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.cli.actions.drawing import quoted, shade, token_text
from ghosttrack_cli.cli.actions.feature_files import move_old_reports, read_report
from ghosttrack_cli.cli.actions.features import warn_outdated
from ghosttrack_cli.cli.actions.interpret import layers_to_interpret
from ghosttrack_cli.cli.terminal.output import Line, Span, Table, line
from ghosttrack_cli.errors import DiskError, GhostTrackError, LockedError
from ghosttrack_cli.interpretation.parts import PROMPT_FEATURES, PROMPT_MODEL, PROMPT_PAGE
from ghosttrack_cli.report.stored import layer_reports

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ghosttrack_cli.browser.prompt import PromptFeature, PromptReport
    from ghosttrack_cli.cli.session import Session

TOKENS, INDENT = 5, 9


def prompt(session: Session, text: str, layers: str | None, top: int) -> None:
    """Show for each layer the features that fire most on `text`, and keep them for the page."""
    chosen = layers_to_interpret(session, layers)
    move_old_reports(session)
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
                show_on_page(workspace, report)
            except (DiskError, LockedError) as error:
                refused = error.what
    blocks = prompt_blocks(report, top, known_tokens(session, chosen))
    document = report.model_dump(mode="json", exclude={"schema_version"})
    session.emit({**document, "page_error": refused}, lambda console: console.blocks(blocks))
    if refused is not None:
        session.console.notice(f"the page does not show this prompt: {refused}")


def known_tokens(session: Session, layers: Iterable[int]) -> dict[int, list[list[str]]]:
    """By layer and feature the tokens that it fires on, from the newest report of each layer."""
    known: dict[int, list[list[str]]] = {}
    for layer in layers:
        for newest in layer_reports(session.workspace.interpretations, layer)[:1]:
            try:
                report = read_report(newest)
                if not warn_outdated(session, [(newest, report)]):
                    known[layer] = report.index.tokens
            except GhostTrackError as error:
                session.console.notice(f"no tokens beside the features: {error.what}")
    return known


def prompt_blocks(
    report: PromptReport, top: int, known: Mapping[int, list[list[str]]]
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
        ]
    return blocks[:-1]


def _feature_lines(
    one: PromptFeature, texts: list[str], known: list[list[str]] | None
) -> list[Line]:
    """What the feature is known to fire on, then the text with where it fires here."""
    tokens = known[one.feature][:TOKENS] if known and one.feature < len(known) else []
    head = line(
        Span(f"{one.feature:7}", "bold cyan"),
        f"{max(one.acts):9.2f}  ",
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
