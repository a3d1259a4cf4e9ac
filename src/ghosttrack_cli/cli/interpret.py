"""`ghosttrack interpret`: what the features of trained SAEs mean."""

from typing import Annotated, Any

import typer

from ghosttrack_cli import files
from ghosttrack_cli.cli import feature_view
from ghosttrack_cli.cli.command import DryRun, Layers, Overwrite, Yes, command, group
from ghosttrack_cli.cli.outcome import Outcome, choose_layers, give
from ghosttrack_cli.cli.output import line
from ghosttrack_cli.cli.remembered import model_settings
from ghosttrack_cli.cli.session import Session
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.flags import INTERPRET
from ghosttrack_cli.quantities import format_layers
from ghosttrack_cli.workspace import Workspace

Layer = Annotated[int | None, typer.Option("--layer", metavar="LAYER", help="The layer.")]
FeatureOption = Annotated[
    int | None,
    typer.Option("--feature", metavar="N", help="Show this feature of the layer here."),
]


def register(app: typer.Typer) -> None:
    """Add the command and those behind it."""
    interpret_app = typer.Typer(rich_markup_mode="markdown")
    group(interpret_app, flags=INTERPRET, logged=True)(interpret)
    command(interpret_app, "list")(list_features)
    command(interpret_app, "prompt", flags="prompt")(prompt)
    app.add_typer(interpret_app, name="interpret")


def interpret(
    session: Session,
    *,
    layers: Layers = None,
    feature: FeatureOption = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    yes: Yes = False,
) -> None:
    """Find out what the features of trained SAEs mean, and show them.

    One pass over the stored rows, or over `--texts`, collects for every feature where it fires,
    and writes a report and a page for the browser.

        ghosttrack interpret
        ghosttrack interpret --texts truthfulqa
        ghosttrack interpret --layer 6 --feature 123
    """
    if feature is not None:
        feature_view.show_feature(session, layers, feature)
        return
    chosen = trained_layers(session, layers)
    if dry_run:
        give(session, plan_interpretation(session, chosen))
        return
    if overwrite:
        session.confirm_overwrite(f"the reports of layers {format_layers(chosen)}", yes=yes)
        for layer in chosen:
            delete_report(session.workspace, layer)
    give(session, interpret_layers(session, chosen))


def trained_layers(session: Session, text: str | None) -> tuple[int, ...]:
    """The layers asked for, all of which have an SAE to interpret.

    Raises:
        UsageError: no layer has one, or not one that was asked for.
    """
    workspace = session.workspace
    which = session.settings.interpretation.checkpoint
    found = workspace.checkpoints.glob(f"sae_layer_*_{which}/cfg.json")
    numbers = [path.parent.name.split("_")[2] for path in found]
    present = [int(number) for number in numbers if number.isdecimal()]
    if not present:
        raise UsageError(f"no trained SAE in {workspace.checkpoints}", hint=session.again("train"))
    return choose_layers(text, present, have="trained SAE")


def interpret_layers(session: Session, layers: tuple[int, ...]) -> Outcome:
    """Interpret the SAEs of `layers` in one pass."""
    from ghosttrack_cli.interpretation.interpret import interpret as run_interpretation

    settings, workspace = session.settings, session.workspace
    with session.monitor() as monitor:
        summaries = run_interpretation(
            layers,
            settings.interpretation,
            model_settings(session),
            settings.corpus,
            workspace,
            monitor,
        )
    blocks = [
        line(
            f"layer {one.layer}: {one.counts.active:,} of {one.counts.features:,} features fire"
            f" on {one.counts.rows:,} rows of {one.source.name}"
        )
        for one in summaries
    ]
    blocks.append(line("open in a browser: ", str(workspace.browser)))
    document = {
        "layers": [one.model_dump(mode="json") for one in summaries],
        "browser": str(workspace.browser),
    }
    return Outcome(document, blocks, f"interpret --layer {layers[0]} --feature 0")


def plan_interpretation(session: Session, layers: tuple[int, ...]) -> Outcome:
    """What interpretation would read."""
    settings = session.settings.interpretation
    folders = [session.workspace.sae(layer, settings.checkpoint) for layer in layers]
    document: dict[str, Any] = {
        "layers": list(layers),
        "texts": settings.texts,
        "saes": [str(folder) for folder in folders],
        "model": model_settings(session).name,
    }
    blocks = [
        line(f"interpret layers {format_layers(layers)} over {settings.texts}"),
        *(line(f"  {folder}") for folder in folders),
    ]
    return Outcome({"plan": document}, blocks)


def delete_report(workspace: Workspace, layer: int) -> None:
    """Delete the report of `layer`; links are removed, not followed."""
    files.remove(workspace.report(layer))
    files.remove(workspace.interpretation(layer))


def list_features(
    session: Session,
    *,
    layer: Layer = None,
    sort: Annotated[
        feature_view.Sort,
        typer.Option("--sort", metavar="ORDER", help="Order: rate, max, mean, windows or feature."),
    ] = feature_view.Sort.rate,
    flag: Annotated[
        str | None,
        typer.Option(
            "--flag",
            metavar="FLAG",
            help="Only features with this flag: dead, rare, dense, single-token, position-bound"
            " or duplicate.",
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="TEXT", help="Only features that fire on such a token."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="Features shown at most.")
    ] = 40,
) -> None:
    """List the features of an interpreted layer.

    ghosttrack interpret list --layer 6 --sort rate --search " the"
    """
    feature_view.show_list(session, layer, feature_view.Choice(sort, flag, search, limit))


def prompt(
    session: Session,
    *,
    text: Annotated[str, typer.Argument(help="The text.", metavar="TEXT")],
    layer: Layer = None,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=1, max=100, help="Features shown a token.")
    ] = 5,
) -> None:
    """Show which features fire on a text, token by token.

    ghosttrack interpret prompt "The capital of France is Paris" --layer 6
    """
    from ghosttrack_cli.cli.prompt_view import show_prompt

    show_prompt(session, text, layer, top)
