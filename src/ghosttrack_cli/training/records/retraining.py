"""A layer trained anew beside its SAE, which stands until the new one is whole.

    sae_layer_6_new/       a training with overwrite, laid out as the checkpoints folder
    sae_layer_6_ready/     the same once it is finished: what is in it counts before what is outside

One rename makes the new training the layer's; the moves after it can stop anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.leftovers import find_leftovers
from ghosttrack_cli.training.records.checked import read_history
from ghosttrack_cli.training.records.history import metrics_path
from ghosttrack_cli.training.records.identity import same
from ghosttrack_cli.training.records.loggers import forget_loggers
from ghosttrack_cli.training.records.manifest import read_progress
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import CheckpointKind

KINDS: tuple[CheckpointKind, ...] = ("last", "best", "final")


def something_stands(workspace: Workspace, layer: AnySite) -> bool:
    """Whether an earlier training of a layer left anything that is worth keeping."""
    folders = (files.present_folder(workspace.sae(layer, kind)) for kind in KINDS)
    manifests = (workspace.training_progress(layer), workspace.history(layer))
    return any(path.exists() for path in (*folders, *manifests))


def begun(workspace: Workspace, layer: AnySite) -> Workspace | None:
    """Where a layer's begun retraining lies, if there is one."""
    side = workspace.retraining(layer)
    return side if side.training_progress(layer).is_file() else None


def where(
    workspace: Workspace, layer: AnySite, store: Mapping[str, Any], settings: Mapping[str, Any]
) -> Workspace:
    """Where a training goes on: beside the SAE that stands if a retraining was begun there.

    Not if just what stands was asked for: then the retraining, of other settings, waits.
    """
    side = begun(workspace, layer)
    if side is None:
        return workspace
    try:
        anew, done = read_progress(side.training_progress(layer)), finished(workspace, layer)
    except CorruptionError:
        return side
    if anew is None or done is None or same(anew, store, settings):
        return side
    return workspace if same(done, store, settings) else side


def finished(workspace: Workspace, layer: AnySite) -> dict[str, Any] | None:
    """The manifest of a training that came to its end and whose SAE is there, else None.

    Raises:
        CorruptionError: the manifest or the history is damaged.
    """
    progress = read_progress(workspace.training_progress(layer))
    if progress is None or progress["state"] != "finished":
        return None
    if not files.present_folder(workspace.sae(layer, "final")).is_dir():
        return None
    try:
        read_history(workspace.history(layer))
    except FileNotFoundError:
        return None
    return progress


def hand_over(workspace: Workspace, layer: AnySite) -> None:
    """Put the finished retraining of a layer in the place of what was there."""
    files.rename(workspace.retraining(layer).checkpoints, workspace.replacement(layer))
    settle(workspace, layer)


def settle(workspace: Workspace, layer: AnySite) -> None:
    """Finish moving a replacement into place, if one is there, and forget what holds nothing."""
    if begun(workspace, layer) is None:
        files.remove(workspace.retraining(layer).checkpoints)
    ready = Workspace(workspace.root, workspace.replacement(layer))
    if not ready.checkpoints.is_dir():
        return
    if ready.sae(layer, "last").is_dir():  # nothing was moved yet
        _forget_missing_loggers(workspace, ready, layer)
    for source in _in_order(ready, layer):
        target = workspace.checkpoints / source.relative_to(ready.checkpoints)
        if source.is_dir():
            files.make_folder(target.parent)
            files.replace_folder(source, target)
        elif source.is_file():
            files.rename(source, target)
    for place in _in_order(workspace, layer):
        for path in find_leftovers(place.parent, place.name):
            files.remove(path)
    files.remove(ready.checkpoints)


def _in_order(ready: Workspace, layer: AnySite) -> Iterator[Path]:
    """What a replacement may hold: the state to resume from first, the manifest last."""
    yield from (ready.sae(layer, kind) for kind in KINDS)
    yield ready.history(layer)
    yield metrics_path(ready.history(layer))
    yield ready.tensorboard(layer)
    yield ready.wandb_run(layer)
    yield ready.training_progress(layer)


def _forget_missing_loggers(workspace: Workspace, ready: Workspace, layer: AnySite) -> None:
    """Delete the runs of the earlier training that the new one does not replace by its own."""
    if not (ready.tensorboard(layer).exists() or ready.wandb_run(layer).exists()):
        forget_loggers(workspace, layer)


def forget(workspace: Workspace, layer: AnySite) -> None:
    """Delete what an earlier training of a layer left; the manifest goes first."""
    files.remove(workspace.training_progress(layer))
    for folder in (workspace.sae(layer, kind) for kind in KINDS):
        for suffix in ("", files.PREVIOUS_SUFFIX, files.TEMPORARY_SUFFIX):
            files.remove(folder.with_name(folder.name + suffix))
    files.remove(workspace.history(layer))
    files.remove(metrics_path(workspace.history(layer)))
    forget_loggers(workspace, layer)
