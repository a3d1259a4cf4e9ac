"""What a training will take: steps and memory, before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.machine import devices, memory
from ghosttrack_cli.training.plan import peak_memory
from ghosttrack_cli.training.plan.conditions import conditions, held_out
from ghosttrack_cli.training.plan.recipe import Recipe
from ghosttrack_cli.training.records.identity import settings_identity, store_identity
from ghosttrack_cli.training.records.manifest import read_progress
from ghosttrack_cli.training.records.retraining import where
from ghosttrack_cli.training.rows.layer_rows import fits
from ghosttrack_cli.training.step.state import state_bytes

if TYPE_CHECKING:
    from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.read.reader import ActivationStore
    from ghosttrack_cli.workspace import Workspace


def _progress(
    workspace: Workspace,
    layer: AnySite,
    store: ActivationStore,
    sae: SAESettings,
    training: SAETrainingSettings,
) -> dict[str, Any]:
    """What is known of an earlier training; a damaged manifest is made again by the run."""
    asked = store_identity(store), settings_identity(sae, training)
    place = where(workspace, layer, *asked)
    try:
        return read_progress(place.training_progress(layer)) or {}
    except CorruptionError:
        return {"state": "manifest damaged"}


@dataclass(frozen=True)
class TrainingPlan:
    """Steps and memory of one layer's training."""

    layer: AnySite
    rows: int
    train_rows: int
    batch_size: int
    evaluation_rows: int
    """Held-out rows that an evaluation during training looks at, if there are so many."""
    steps_per_epoch: int
    total_steps: int
    finished_steps: int
    state: str
    device: str
    notices: tuple[str, ...]
    """What a user should know before."""
    memory_needed: int
    """Bytes at the peak, on the host without what the process has before."""
    memory_bytes: int
    """Those of the whole process, or on a CUDA device those there."""
    disk_bytes: int
    products: str
    """Dtype of the large matrix products."""


def training_device(name: str) -> torch.device:
    """The device for a setting; Apple's has no float64, so the CPU stands in for it."""
    device = devices.resolve_device(name)
    return device if device.type == "cuda" else torch.device("cpu")


def memory_needed(
    store: ActivationStore, recipe: Recipe, training: SAETrainingSettings, at_once: int
) -> int:
    """Bytes that one of `at_once` layers takes at its peak, on the device it trains on."""
    device = training_device(training.device)
    shape = recipe.d_model, recipe.d_hidden, recipe.batch_size
    resident = fits(store, device, at_once)
    stored = peak_memory.stored_bytes(store, recipe.evaluation_rows, resident=resident)
    if device.type == "cuda":
        return peak_memory.device_bytes(*shape, stored, compiled=not training.deterministic)
    evaluated_rows = min(store.rows, store.chunk_rows)
    rows = stored + peak_memory.order_bytes(store)
    return peak_memory.host_bytes(*shape, evaluated_rows, rows, recipe.products_on(device))


def disk_bytes(d_model: int, d_hidden: int) -> int:
    """Bytes of all files of a layer: two checkpoints and one being written, best and final."""
    state = state_bytes(d_model, d_hidden)
    return 3 * state + 3 * state // 3


def _notices(
    store: ActivationStore, layer: AnySite, training: SAETrainingSettings
) -> tuple[str, ...]:
    few = held_out(store, training)
    words = () if few is None else (f"layer {layer}: {few['words']}",)
    return (*conditions(store, layer, training), *words)


def plan_training(
    store: ActivationStore,
    layer: AnySite,
    sae: SAESettings,
    training: SAETrainingSettings,
    workspace: Workspace,
    at_once: int = 1,
    *,
    overwrite: bool = False,
    made_up: bool = False,
) -> TrainingPlan:
    """What training a layer, one of `at_once` at a time, would take, from manifests alone.

    How many rows the mask leaves out is known only to a training that has begun; before that the
    plan counts them all. A store that is `made_up` has no rows to look at yet.

    Raises:
        UsageError: the settings contradict each other or the store.
    """
    progress = {} if overwrite else _progress(workspace, layer, store, sae, training)
    device = training_device(training.device)
    train_rows = progress.get("train_rows", round(store.rows * (1 - training.val_fraction)))
    recipe = Recipe.of(sae, training, store.d_model, max(1, train_rows))
    needed = memory_needed(store, recipe, training, at_once)
    return TrainingPlan(
        layer=layer,
        rows=store.rows,
        train_rows=train_rows,
        batch_size=recipe.batch_size,
        evaluation_rows=recipe.evaluation_rows,
        steps_per_epoch=recipe.epoch_steps,
        total_steps=recipe.total_steps,
        finished_steps=progress.get("step", 0),
        state=progress.get("state", "new"),
        device=str(device),
        notices=() if made_up else _notices(store, layer, training),
        memory_needed=needed,
        memory_bytes=needed if device.type == "cuda" else memory.process_bytes() + needed,
        disk_bytes=disk_bytes(store.d_model, sae.d_hidden),
        products=devices.dtype_name(recipe.products_on(device)),
    )
