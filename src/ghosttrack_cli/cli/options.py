"""The options that commands take, and those that every command takes."""

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from ghosttrack_cli.flags import WORKSPACE

EVERYWHERE = "Everywhere"

Json = Annotated[
    bool | None,
    typer.Option(
        "--json", metavar="", help="Print one JSON document to stdout.", rich_help_panel=EVERYWHERE
    ),
]
Quiet = Annotated[
    bool | None,
    typer.Option(
        "--quiet",
        "-q",
        metavar="",
        help="Print only results and errors.",
        rich_help_panel=EVERYWHERE,
    ),
]
Verbose = Annotated[
    bool | None,
    typer.Option(
        "--verbose",
        "-v",
        metavar="",
        help="Show messages from libraries too.",
        rich_help_panel=EVERYWHERE,
    ),
]
Debug = Annotated[
    bool | None,
    typer.Option(
        "--debug", metavar="", help="Show tracebacks with errors.", rich_help_panel=EVERYWHERE
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="PATH",
        help="Settings file (default: GHOSTTRACK_CONFIG or ./ghosttrack.toml).",
        rich_help_panel=EVERYWHERE,
    ),
]
WorkspaceOption = Annotated[
    str | None,
    typer.Option(
        "--workspace",
        metavar=WORKSPACE.metavar,
        help="Folder for activations, SAEs and reports.",
        rich_help_panel=EVERYWHERE,
    ),
]
COMMON = {
    "json": Json,
    "quiet": Quiet,
    "verbose": Verbose,
    "debug": Debug,
    "config": Config,
    "workspace": WorkspaceOption,
}

Layers = Annotated[
    str | None,
    typer.Option(
        "--layers",
        "--layer",
        metavar="LAYERS",
        help="Layers: 6, 0,6,11, 0-5 or all (default: all).",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", metavar="", help="Delete existing results and start over.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", metavar="", help="Do not ask before deleting.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", metavar="", help="Show what would be done without doing it.")
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
