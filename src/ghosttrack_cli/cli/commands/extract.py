"""`ghosttrack extract`: text through the model into the store."""

from typing import TYPE_CHECKING, Annotated

import typer

from ghosttrack_cli.cli.command import command
from ghosttrack_cli.cli.options import DryRun, Overwrite, Yes
from ghosttrack_cli.settings.flags import EXTRACT

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
        typer.Option("--repair", help="Check the whole store and rebuild damaged chunks."),
    ] = False,
    overwrite: Overwrite = False,
    yes: Yes = False,
) -> None:
    """Run a language model over text and store its residual-stream activations.

    All requested layers are stored in one pass. Interrupt at any time; rerun the command to
    resume. Options that you leave out keep the values that the store was made with.

        ghosttrack extract --layer 6 --tokens 1M
        ghosttrack extract --model ./my-model --corpus ./texts --layers all --tokens 300k
    """
    from ghosttrack_cli.cli.actions import extract as action

    action.extract(session, dry_run=dry_run, overwrite=overwrite, repair=repair, yes=yes)
