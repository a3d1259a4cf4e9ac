"""Settings on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.cli.terminal.output import Column, Span, Table
from ghosttrack_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.cli.terminal.console import Console

COLUMNS = (Column("setting"), Column("value"), Column("origin"))
FILE_NAME = "ghosttrack.toml"


def show(session: Session) -> None:
    """Show every setting in force with its origin."""
    from ghosttrack_cli.settings.resolve import explain

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


def init(session: Session, path: Path, *, yes: bool) -> None:
    """Write the commented settings file to `path`."""
    from ghosttrack_cli.settings.resolve import reference_toml

    if (path.exists() or path.is_symlink()) and not yes:
        raise UsageError(f"file already exists: {path}", hint="add --yes to replace it")
    files.write_text(path, reference_toml())
    session.emit({"path": str(path)}, lambda console: console.lines(f"wrote {path}"))
