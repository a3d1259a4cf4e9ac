"""`ghosttrack config`: the settings in force, and a file to write them in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ghosttrack_cli.cli.command import command
from ghosttrack_cli.cli.options import Yes
from ghosttrack_cli.cli.parser import Group
from ghosttrack_cli.settings.flags import with_default

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session

FILE = Path("ghosttrack.toml")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    config = typer.Typer(
        help="Show the current settings, or create a settings file.",
        cls=Group,
        no_args_is_help=True,
        rich_markup_mode="markdown",
    )
    command(config, "show")(show)
    command(config, "init")(init)
    app.add_typer(config, name="config")


def show(session: "Session") -> None:
    """Show every setting and where its value comes from.

    Command-line options override `GHOSTTRACK_*` variables, then the settings file, the preset and
    the defaults.
    """
    from ghosttrack_cli.cli.actions import config as action

    action.show(session)


def init(
    session: "Session",
    *,
    path: Annotated[
        Path,
        typer.Option(
            "--path",
            metavar="PATH",
            help=with_default("File to create.", str(FILE)),
            show_default=False,
        ),
    ] = FILE,
    yes: Yes = False,
) -> None:
    """Create a settings file with every setting, its meaning and its default."""
    from ghosttrack_cli.cli.actions import config as action

    action.init(session, path, yes=yes)
