"""`ghosttrack export`: trained SAEs for other programs."""

from typing import TYPE_CHECKING, Annotated

import typer

from ghosttrack_cli.cli import completion
from ghosttrack_cli.cli.command import command
from ghosttrack_cli.cli.options import DryRun, Layers
from ghosttrack_cli.settings.catalogue import CATALOGUE
from ghosttrack_cli.settings.flags import with_default

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session

KEY = "interpretation.checkpoint"
MEANING = CATALOGUE[KEY].meaning
Checkpoint = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        metavar="WHICH",
        help=with_default(f"{MEANING[0].upper()}{MEANING[1:]}.", "best"),
        show_default=False,
        autocompletion=completion.of_setting(KEY),
    ),
]
Folder = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="DIR", help=with_default("Output folder.", "exports in the workspace")
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "export", logged=True)(export)


def export(
    session: "Session",
    *,
    layers: Layers = None,
    checkpoint: Checkpoint = "best",
    to: Folder = None,
    dry_run: DryRun = False,
) -> None:
    """Export trained SAEs for dictionary_learning.

    Each layer gets a folder for `load_dictionary`. SAELens needs no export: its
    `SAE.load_from_disk` opens `checkpoints/sae_layer_6_best` directly.

        ghosttrack export --layers 0,6,11 --to dictionaries
    """
    from ghosttrack_cli.cli.actions import export as action

    action.export(session, layers, checkpoint=checkpoint, to=to, dry_run=dry_run)
