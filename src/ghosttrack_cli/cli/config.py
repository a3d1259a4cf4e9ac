"""`ghosttrack config`: the settings in force, and a file to write them in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ghosttrack_cli.cli.command import command
from ghosttrack_cli.cli.options import Yes

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the commands."""
    config = typer.Typer(
        help="The settings in force, and a commented file to change them in.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
    )
    command(config, "show")(show)
    command(config, "init")(init)
    app.add_typer(config, name="config")


def show(session: "Session") -> None:
    """Show every setting in force and where it came from.

    Flags win over `GHOSTTRACK_*` variables, those over the settings file, the file over the
    preset, the preset over the defaults.
    """
    from ghosttrack_cli.cli.actions import config as action

    action.show(session)


def init(
    session: "Session",
    *,
    path: Annotated[Path, typer.Option("--path", metavar="PATH", help="Where to write it.")] = Path(
        "ghosttrack.toml"
    ),
    yes: Yes = False,
) -> None:
    """Write a commented settings file with every key, its meaning and its default."""
    from ghosttrack_cli.cli.actions import config as action

    action.init(session, path, yes=yes)
