"""The options that commands take, and those that every command takes."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from ghosttrack_cli.cli import completion
from ghosttrack_cli.settings.flags import WORKSPACE, with_default

EVERYWHERE = "Everywhere"

Json = Annotated[
    bool | None,
    typer.Option("--json", help="Print one JSON document to stdout.", rich_help_panel=EVERYWHERE),
]
Quiet = Annotated[
    bool | None,
    typer.Option(
        "--quiet",
        "-q",
        help="Print only results and errors.",
        rich_help_panel=EVERYWHERE,
    ),
]
Verbose = Annotated[
    bool | None,
    typer.Option(
        "--verbose",
        "-v",
        help="Show messages from libraries too.",
        rich_help_panel=EVERYWHERE,
    ),
]
Debug = Annotated[
    bool | None,
    typer.Option("--debug", help="Show tracebacks with errors.", rich_help_panel=EVERYWHERE),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="PATH",
        help=with_default("Settings file.", "GHOSTTRACK_CONFIG, or ./ghosttrack.toml"),
        rich_help_panel=EVERYWHERE,
    ),
]


HiddenConfig = Annotated[str | None, typer.Option("--config", help="Refused.", hidden=True)]


def workspace_option(default: str | None = None) -> Any:
    """The option --workspace of a command whose workspace is `default`, else that of all."""
    return Annotated[
        str | None,
        typer.Option(
            *WORKSPACE.names,
            metavar=WORKSPACE.metavar,
            help=WORKSPACE.help(default),
            rich_help_panel=EVERYWHERE,
        ),
    ]


COMMON = {
    "json": Json,
    "quiet": Quiet,
    "verbose": Verbose,
    "debug": Debug,
    "config": Config,
    "workspace": workspace_option(),
}

Layers = Annotated[
    str | None,
    typer.Option(
        "--layers",
        "--layer",
        metavar="LAYERS",
        help=with_default("Layers: 6, 0,6,11, 0-5 or all.", "all"),
        autocompletion=completion.layers,
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Delete existing results and start over.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done without doing it.")
]


@dataclass(frozen=True)
class Options:
    """The options that every command takes; None where not given."""

    json: bool | None = None
    quiet: bool | None = None
    verbose: bool | None = None
    debug: bool | None = None
    config: str | None = None
    workspace: str | None = None

    def over(self, outer: "Options") -> "Options":
        """These options, with those of the group before the command where not given."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return replace(outer, **given)
