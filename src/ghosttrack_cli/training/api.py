"""Training as one call, under the seed's name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli.monitor import SILENT
from ghosttrack_cli.settings import SAESettings, SAETrainingSettings
from ghosttrack_cli.store.reader import ActivationStore
from ghosttrack_cli.training.trainer import Trainer
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from ghosttrack_cli.monitor import Monitor


def train_sae_for_layer(
    layer_idx: int,
    hidden_states_path: str | Path,
    save_dir: str | Path | None = None,
    device: str = "auto",
    *,
    sae: SAESettings | None = None,
    training: SAETrainingSettings | None = None,
    monitor: Monitor = SILENT,
    overwrite: bool = False,
) -> dict[str, list[float]]:
    """Train the SAE of one layer and return its history, a list of values for each column.

    `hidden_states_path` is the store that extraction gave, or the workspace around it; the SAEs
    `sae_layer_6_best` and `sae_layer_6_final` and the history go to `save_dir`, by default the
    workspace's `checkpoints`. Calling it again continues, or returns what is finished.
    """
    path = Path(hidden_states_path)
    workspace = Workspace(path)
    if not workspace.store.exists():
        workspace = Workspace(path.parent)
    store = ActivationStore.open(workspace.store if workspace.store.exists() else path)
    if save_dir is not None:
        workspace = Workspace(workspace.root, Path(save_dir))
    settings = training or SAETrainingSettings()
    result = Trainer(
        store,
        layer_idx,
        sae or SAESettings(),
        settings.model_copy(update={"device": device}),
        workspace,
        monitor,
        overwrite=overwrite,
    ).run()
    return result.history
