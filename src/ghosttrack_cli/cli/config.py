"""`ghosttrack config`: the settings in force, and a file to write them in."""

from pathlib import Path
from typing import Annotated

import typer

from ghosttrack_cli import files
from ghosttrack_cli.cli.command import Yes, command
from ghosttrack_cli.cli.console import Console
from ghosttrack_cli.cli.output import Column, Span, Table
from ghosttrack_cli.cli.session import Session
from ghosttrack_cli.errors import UsageError

COLUMNS = (Column("setting"), Column("value"), Column("origin"))
FILE_NAME = "ghosttrack.toml"


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


def show(session: Session) -> None:
    """Show every setting in force and where it came from.

    Flags win over `GHOSTTRACK_*` variables, those over the settings file, the file over the
    preset, the preset over the defaults.
    """
    from ghosttrack_cli.configuration import explain

    settings = explain(session.resolved)
    document = {one.key: {"value": one.value, "origin": one.origin} for one in settings}

    def as_table(console: Console) -> None:
        rows = tuple(
            (
                Span(one.key),
                Span("-" if one.value is None else str(one.value), "bold"),
                Span(one.origin, "dim" if one.origin == "default" else "cyan"),
            )
            for one in settings
        )
        console.table(Table(COLUMNS, rows))

    session.emit({"settings": document}, as_table)


def init(
    session: Session,
    *,
    path: Annotated[Path, typer.Argument(help="Where to write it.", metavar="PATH")] = Path(
        FILE_NAME
    ),
    yes: Yes = False,
) -> None:
    """Write a commented settings file with every key, its meaning and its default."""
    from ghosttrack_cli.configuration import reference_toml

    if (path.exists() or path.is_symlink()) and not yes:
        raise UsageError(f"there is a file already: {path}", hint="add --yes to replace it")
    files.write_text(path, reference_toml())
    session.emit({"path": str(path)}, lambda console: console.lines(f"wrote {path}"))
