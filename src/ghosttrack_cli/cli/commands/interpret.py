"""`ghosttrack interpret`: what the features of trained SAEs mean."""

from typing import TYPE_CHECKING, Annotated

import typer

from ghosttrack_cli.cli import completion
from ghosttrack_cli.cli.command import command, group
from ghosttrack_cli.cli.options import DryRun, Layers, Overwrite, Yes
from ghosttrack_cli.cli.parser import Group
from ghosttrack_cli.report.feature_flags import FLAGS
from ghosttrack_cli.settings.flags import INTERPRET, LIST, PROMPT, with_default

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session

SORTS = ("telling", "rate", "max", "mean", "windows", "feature", "separation")
SHOWN, STRONGEST = 40, 10
OF_STORE = {"model.name": "that of the store"}
LISTED = {"interpretation.texts": "whatever the newest report is over"}

Layer = Annotated[
    str | None,
    typer.Option(
        "--layer",
        metavar="LAYER",
        help=with_default("Layer.", "the only one"),
        autocompletion=completion.layers,
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="NAME",
        help=with_default("Show the report over this source, such as store.", "the newest"),
        autocompletion=completion.sources,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command and those behind it."""
    interpret_app = typer.Typer(cls=Group, rich_markup_mode="markdown")
    group(interpret_app, flags=INTERPRET, logged=True, defaults=OF_STORE)(interpret)
    command(interpret_app, "list", flags=LIST, defaults=LISTED)(list_features)
    command(interpret_app, "prompt", flags=PROMPT, defaults=OF_STORE)(prompt)
    app.add_typer(interpret_app, name="interpret")


def interpret(
    session: "Session",
    *,
    layers: Layers = None,
    feature: Annotated[
        int | None,
        typer.Option("--feature", metavar="N", help="Show this feature in the terminal."),
    ] = None,
    source: Source = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    yes: Yes = False,
) -> None:
    """Describe what the features of trained SAEs respond to.

    Reads the stored activations, or `--texts`, once and writes a report and a web page that works
    offline.

        ghosttrack interpret
        ghosttrack interpret --texts truthfulqa
        ghosttrack interpret --layer 6 --feature 123 --source store
    """
    from ghosttrack_cli.cli.actions import features
    from ghosttrack_cli.cli.actions import interpret as action

    if feature is not None:
        features.show_feature(session, layers, feature, source)
    else:
        action.interpret(session, layers, dry_run=dry_run, overwrite=overwrite, yes=yes)


def list_features(
    session: "Session",
    *,
    layer: Layer = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="ORDER",
            help=with_default(
                "Order: telling, rate, max, mean, windows, feature, or separation (of true from"
                " false).",
                "telling; of a search: its best answers",
            ),
            autocompletion=completion.of_words(*SORTS),
        ),
    ] = None,
    flag: Annotated[
        str | None,
        typer.Option(
            "--flag",
            metavar="FLAG",
            help=f"Only features with this flag: {', '.join(FLAGS[:-1])} or {FLAGS[-1]}.",
            autocompletion=completion.of_words(*FLAGS),
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            metavar="TEXT",
            help="Only features that have all these words: in the tokens they fire on, promote or"
            ' suppress, in their examples or flags. "..." is a phrase. All layers without --layer.',
        ),
    ] = None,
    source: Source = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            metavar="N",
            min=1,
            help=with_default("Maximum number of features to show.", str(SHOWN)),
            show_default=False,
        ),
    ] = SHOWN,
) -> None:
    """List the features of an interpreted layer.

    ghosttrack interpret list --search "river bank"

    ghosttrack interpret list --sort separation
    """
    from ghosttrack_cli.cli.actions.feature_list import Choice
    from ghosttrack_cli.cli.actions.features import show_list

    show_list(session, layer, Choice(sort, flag, search, source, limit))


def prompt(
    session: "Session",
    *,
    text: Annotated[str, typer.Argument(help="The text.", metavar="TEXT")],
    layers: Layers = None,
    top: Annotated[
        int,
        typer.Option(
            "--top",
            metavar="N",
            min=1,
            max=1000,
            help=with_default("Features to show per layer.", str(STRONGEST)),
            show_default=False,
        ),
    ] = STRONGEST,
    source: Source = None,
) -> None:
    """Show which features fire on a text, token by token.

    ghosttrack interpret prompt "The capital of France is Paris" --layer 6
    """
    from ghosttrack_cli.cli.actions import prompt as action

    action.prompt(session, text, layers, top, source)
