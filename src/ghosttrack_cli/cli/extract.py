"""`ghosttrack extract`: text through the model into the store."""

from typing import TYPE_CHECKING, Annotated

import typer

from ghosttrack_cli.cli.command import command
from ghosttrack_cli.cli.options import DryRun, Overwrite, Yes
from ghosttrack_cli.flags import EXTRACT

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "extract", flags=EXTRACT, logged=True)(extract)


def extract(
    session: "Session",
    *,
    dry_run: DryRun = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", metavar="", help="Read the store back and make bad chunks again."),
    ] = False,
    overwrite: Overwrite = False,
    yes: Yes = False,
) -> None:
    """Run a language model over text and keep its residual stream: corpus to store.

    All layers asked for are stored in one pass. Stop it at any time; the same command goes on
    where it was, and a finished one says so. Model, text and layout that you do not name are those
    of the store that is there.

        ghosttrack extract --layer 6 --tokens 1M
        ghosttrack extract --model ./my-model --corpus ./texts --layers all --tokens 300k
    """
    from ghosttrack_cli.cli.actions import extract as action

    action.extract(session, dry_run=dry_run, overwrite=overwrite, repair=repair, yes=yes)
