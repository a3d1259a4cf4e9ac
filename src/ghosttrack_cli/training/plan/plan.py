"""What a training will take: steps and memory, before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.machine import devices, memory
from ghosttrack_cli.training.plan import peak_memory
from ghosttrack_cli.training.plan.conditions import conditions, held_out
from ghosttrack_cli.training.plan.recipe import (
    evaluation_rows,
    moves,
    objective_of,
    revive_rows,
    steps_of,
)
from ghosttrack_cli.training.records.identity import settings_identity, store_identity
from ghosttrack_cli.training.records.manifest import read_progress
from ghosttrack_cli.training.records.retraining import where
from ghosttrack_cli.training.rows.layer_rows import fits
from ghosttrack_cli.training.step.settings import StepSettings
from ghosttrack_cli.training.step.state import state_bytes

if TYPE_CHECKING:
    from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
    from ghosttrack_cli.store.read.reader import ActivationStore
    from ghosttrack_cli.training.step.objective import Objective
    from ghosttrack_cli.workspace import Workspace


def _progress(
    workspace: Workspace,
    layer: int,
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

    layer: int
    rows: int
    train_rows: int
    batch_size: int
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


def products_on(device: torch.device, objective: Objective) -> torch.dtype:
    """What large matrix products are made in: bfloat16 where that is several times as fast.

    Rounded activations would be equal too often to cut a batch exactly, which is done on the CPU.
    """
    if device.type == "cuda":
        return torch.bfloat16
    fast = devices.has_bfloat16_units() and not objective.cuts_batches
    return torch.bfloat16 if fast else torch.float32


def memory_needed(
    store: ActivationStore,
    sae: SAESettings,
    training: SAETrainingSettings,
    batch_size: int,
    at_once: int,
) -> int:
    """Bytes that one of `at_once` layers takes at its peak, on the device it trains on."""
    device = training_device(training.device)
    D, F = store.d_model, sae.d_hidden
    resident = fits(store, device, at_once)
    evaluated = evaluation_rows(training, store.rows * training.epochs)
    stored = peak_memory.stored_bytes(store, evaluated, resident=resident)
    if device.type == "cuda":
        compiled = not training.deterministic
        return peak_memory.device_bytes(D, F, batch_size, stored, compiled=compiled)
    products = products_on(device, objective_of(sae, training, D))
    evaluated_rows = min(store.rows, store.chunk_rows)
    rows = stored + peak_memory.order_bytes(store)
    return peak_memory.host_bytes(D, F, batch_size, evaluated_rows, rows, products)


def step_settings(
    sae: SAESettings, training: SAETrainingSettings, objective: Objective, device: torch.device
) -> StepSettings:
    """What every step of a training on `device` is made with."""
    return StepSettings(
        objective=objective,
        gradient_clip=training.gradient_clip,
        revive_rows=revive_rows(sae, training),
        moves=moves(sae, training),
        weight_decay=training.weight_decay,
        products=products_on(device, objective),
    )


def disk_bytes(d_model: int, d_hidden: int) -> int:
    """Bytes of all files of a layer: two checkpoints and one being written, best and final."""
    state = state_bytes(d_model, d_hidden)
    return 3 * state + 3 * state // 3


def _notices(store: ActivationStore, layer: int, training: SAETrainingSettings) -> tuple[str, ...]:
    few = held_out(store, training)
    words = () if few is None else (f"layer {layer}: {few['words']}",)
    return (*conditions(store, layer, training), *words)


def plan_training(
    store: ActivationStore,
    layer: int,
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
    objective = objective_of(sae, training, store.d_model)
    device = training_device(training.device)
    products = products_on(device, objective)
    train_rows = progress.get("train_rows", round(store.rows * (1 - training.val_fraction)))
    batch_size, epoch_steps = steps_of(max(1, train_rows), training)
    needed = memory_needed(store, sae, training, batch_size, at_once)
    return TrainingPlan(
        layer=layer,
        rows=store.rows,
        train_rows=train_rows,
        batch_size=batch_size,
        steps_per_epoch=epoch_steps,
        total_steps=epoch_steps * training.epochs,
        finished_steps=progress.get("step", 0),
        state=progress.get("state", "new"),
        device=str(device),
        notices=() if made_up else _notices(store, layer, training),
        memory_needed=needed,
        memory_bytes=needed if device.type == "cuda" else memory.process_bytes() + needed,
        disk_bytes=disk_bytes(store.d_model, sae.d_hidden),
        products=devices.dtype_name(products),
    )
