"""Which features fire on a text that stands on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.cli.actions.drawing import shade, token_text
from ghosttrack_cli.cli.actions.interpret import layers_to_interpret
from ghosttrack_cli.cli.output import Line, Span, Table, line
from ghosttrack_cli.interpretation.parts import PROMPT_FEATURES, PROMPT_MODEL, PROMPT_PAGE

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.interpretation.browser.prompt import PromptFeature, PromptReport


def prompt(session: Session, text: str, layers: str | None, top: int) -> None:
    """Show for each layer the features that fire most on `text`, and keep them for the page."""
    chosen = layers_to_interpret(session, layers)
    settings, workspace = session.settings, session.workspace
    with session.monitor("prompt") as monitor:
        monitor.begin(PROMPT_MODEL)
        from ghosttrack_cli.interpretation.browser.writer import write_browser
        from ghosttrack_cli.interpretation.prompt import explain_prompt, save_prompt
        from ghosttrack_cli.model.residual import ResidualModel

        model = ResidualModel.load(
            settings.model, cache_dir=settings.paths.cache_dir, notice=monitor.notice
        )
        monitor.begin(PROMPT_FEATURES)
        report = explain_prompt(text, chosen, settings.interpretation, model, workspace)
        if workspace.browser.is_file():
            monitor.begin(PROMPT_PAGE)
            save_prompt(workspace, report)
            write_browser(workspace.interpretations)
    blocks = prompt_blocks(report, top)
    document = report.model_dump(mode="json", exclude={"schema_version"})
    session.emit(document, lambda console: console.blocks(blocks))


def prompt_blocks(report: PromptReport, top: int) -> list[Line | Table]:
    """The strongest `top` features of each layer, with the text coloured by each."""
    blocks: list[Line | Table] = []
    for layer in report.layers:
        firing = sorted(layer.features, key=lambda one: -max(one.acts))
        shown = f", strongest {top}" if len(firing) > top else ""
        blocks += [
            line(Span(f"layer {layer.layer}", "bold"), f"  {len(firing):,} features fire{shown}"),
            *(_feature_line(one, report.texts) for one in firing[:top]),
            line(),
        ]
    return blocks[:-1]


def _feature_line(one: PromptFeature, texts: list[str]) -> Line:
    largest = max(one.acts)
    spans = [Span(f"{one.feature:7}", "bold cyan"), Span(f"{largest:9.2f}  ")]
    for text, act in zip(texts, one.acts, strict=True):
        shown = token_text(text)
        spans.append(Span(f"«{shown}»" if act == largest else shown, shade(act, largest)))
    return tuple(spans)
