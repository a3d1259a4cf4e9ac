"""`ghosttrack train`: one sparse autoencoder for each layer."""

from typing import TYPE_CHECKING

import typer

from ghosttrack_cli.cli.command import command
from ghosttrack_cli.cli.options import DryRun, Layers, Overwrite, Yes
from ghosttrack_cli.settings.flags import TRAIN

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
    """Train a sparse autoencoder (SAE) for each stored layer.

    Finished layers are skipped and interrupted ones resume. On a CPU, two layers train at once if
    memory allows; on a GPU, or with wandb, one at a time. Change settings with the options below,
    in `ghosttrack.toml`, or with `--preset original`.

        ghosttrack train
        ghosttrack train --layers 0,6,11 --d-hidden 8192
    """
    from ghosttrack_cli.cli.actions import train as action

    action.train(session, layers, dry_run=dry_run, overwrite=overwrite, yes=yes)
