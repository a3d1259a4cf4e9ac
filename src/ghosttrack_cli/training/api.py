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
    from ghosttrack_cli.site import AnySite


def train_sae_for_layer(
    layer_idx: AnySite,
    hidden_states_path: str | Path,
    save_dir: str | Path | None = None,
    device: str = "auto",
    *,
    sae: SAESettings | Mapping[str, Any] | None = None,
    training: SAETrainingSettings | Mapping[str, Any] | None = None,
    monitor: Monitor = SILENT,
    overwrite: bool = False,
) -> dict[str, list[float]]:
    """Train the SAE of one layer. Calling it again continues, or returns what is finished.

    Args:
        layer_idx: a layer that the store has, or a `Site`, for another hook point of it.
        hidden_states_path: the store that extraction gave, or the workspace around it.
        save_dir: gets `sae_layer_6_best`, `sae_layer_6_final` and the history; default:
            the workspace's `checkpoints`.
        device: auto, cpu, cuda, cuda:1.
        sae: settings of the section [sae], such as `{"d_hidden": 4096, "target_l0": 64}`.
        training: settings of the section [sae_training], such as `{"epochs": 5}`.
        monitor: takes progress and notices; default: nobody.
        overwrite: train anew; the earlier SAE stands until the new one is finished.

    Returns:
        The history, a list of values for each column, one an evaluation: `fvu` (share of variance
        unexplained), `sparsity` (L0, active features a row), `dead_fraction`, `val_rows` (rows
        behind them), and those of `sae_layer_6_history.json`.

    Raises:
        UsageError: an argument that cannot be what it is passed as.
        StateError: there is no store, or it lacks the layer.
        ConflictError: an earlier training had another store or other settings.
        TrainingError: it cannot go on: values that are not finite, or a collapse.
        Stopped: a signal asked to stop; what was reached is saved.

    Example:
        >>> history = train_sae_for_layer(6, "run/activations.zarr", sae={"d_hidden": 4096})
        >>> history["fvu"][-1]
        0.214
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
