"""Whole trainings that are killed: the program `python -m tests.training.forks`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.forks import run_program

from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from ghosttrack_cli.training.trainer import Trainer


def request(trainer: Trainer) -> dict[str, Any]:
    """A trainer as a request."""
    return {
        "layer": trainer.layer.layer,
        "workspace": str(trainer.workspace.root),
        "checkpoints": str(trainer.workspace.checkpoints),
        "sae": trainer.sae.model_dump(mode="json"),
        "training": trainer.training.model_dump(mode="json"),
        "overwrite": trainer.overwrite,
    }


def train(request: dict[str, Any]) -> None:
    from ghosttrack_cli.training.trainer import Trainer

    workspace = Workspace(Path(request["workspace"]), Path(request["checkpoints"]))
    Trainer(
        ActivationStore.open(workspace.store),
        request["layer"],
        SAESettings(**request["sae"]),
        SAETrainingSettings(**request["training"]),
        workspace,
        overwrite=request["overwrite"],
    ).run()


if __name__ == "__main__":
    run_program(train, ["ghosttrack_cli.training.trainer"])
