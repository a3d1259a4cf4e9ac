"""`ghosttrack train`: one sparse autoencoder for each layer."""

from typing import TYPE_CHECKING

import typer

from ghosttrack_cli.cli.command import command
from ghosttrack_cli.cli.options import DryRun, Layers, Overwrite, Yes
from ghosttrack_cli.flags import TRAIN

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "train", flags=TRAIN, logged=True)(train)


def train(
    session: "Session",
    *,
    layers: Layers = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    yes: Yes = False,
) -> None:
    """Train one sparse autoencoder for each layer in the store.

    On a CPU two layers train side by side, with half of the cores each, if there is the memory;
    elsewhere, and with wandb, one after another. Each is resumed where it was and skipped when it
    is finished. Change settings with the flags below, `ghosttrack.toml`, or `--preset seed`.

        ghosttrack train
        ghosttrack train --layers 0,6,11 --d-hidden 8192
    """
    from ghosttrack_cli.cli.actions import train as action

    action.train(session, layers, dry_run=dry_run, overwrite=overwrite, yes=yes)
