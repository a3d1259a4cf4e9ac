"""Training as one call, under the original name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli.arguments import as_layer, as_path, as_settings
from ghosttrack_cli.errors import StateError
from ghosttrack_cli.monitor import SILENT
from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
from ghosttrack_cli.store.format.commit_record import has_store
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.training.trainer import Trainer
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ghosttrack_cli.monitor import Monitor


def train_sae_for_layer(
    layer_idx: int,
    hidden_states_path: str | Path,
    save_dir: str | Path | None = None,
    device: str = "auto",
    *,
    sae: SAESettings | Mapping[str, Any] | None = None,
    training: SAETrainingSettings | Mapping[str, Any] | None = None,
    monitor: Monitor = SILENT,
    overwrite: bool = False,
) -> dict[str, list[float]]:
    """Train the SAE of one layer and return its history, a list of values for each column.

    `hidden_states_path` is the store that extraction gave, or the workspace around it; the SAEs
    `sae_layer_6_best` and `sae_layer_6_final` and the history go to `save_dir`, by default the
    workspace's `checkpoints`. Calling it again continues, or returns what is finished.

    Raises:
        UsageError: an argument that cannot be what it is passed as.
        StateError: there is no store, or it lacks the layer.
    """
    layer = as_layer(layer_idx, "layer_idx")
    folder = None if save_dir is None else as_path(save_dir, "save_dir")
    path = as_path(hidden_states_path, "hidden_states_path")
    store = ActivationStore.open(_store_in(path))
    settings = as_settings(SAETrainingSettings, training, {})
    result = Trainer(
        store,
        layer,
        as_settings(SAESettings, sae, {}),
        settings.model_copy(update={"device": device}),
        Workspace(store.path.parent, folder),
        monitor,
        overwrite=overwrite,
    ).run()
    return result.history


def _store_in(path: Path) -> Path:
    """The store at a path, or in the workspace there."""
    for store in (path, Workspace(path).store):
        if has_store(store):
            return store
    raise StateError(
        f"hidden_states_path: no store here: {path}",
        hint="pass what extract_for_layer returned: the folder activations.zarr of a workspace, not"
        " a .pt file",
    )
