"""What an interpretation is made from, and the fingerprint that tells whether it is current."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.differences import refuse
from ghosttrack_cli.errors import GhostTrackError, ModelError
from ghosttrack_cli.provenance import model_differences, sae_differences
from ghosttrack_cli.report.facts import ModelFacts, SAEFacts
from ghosttrack_cli.report.stored import SCHEMA_VERSION
from ghosttrack_cli.sae.checksums import WEIGHTS
from ghosttrack_cli.sae.registry import load_sae

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from ghosttrack_cli.differences import Fields
    from ghosttrack_cli.interpretation.collect.row_batch import RowSource
    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.report.record import SettingValue
    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.settings.schema import InterpretationSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import Workspace

ALGORITHM = 2
"""Rises whenever the same inputs give another report."""


@dataclass(frozen=True)
class Trained:
    """One layer's SAE and where it came from."""

    layer: AnySite
    sae: SAE
    facts: SAEFacts
    history: Path | None


def load_trained(
    layer: AnySite, folder: Path, checkpoint: str, history: Path | None, device: torch.device
) -> Trained:
    """Load an SAE folder.

    Raises:
        StateError, ModelError, CorruptionError: no SAE there, or not one that can be used.
    """
    sae = load_sae(folder, device)
    facts = SAEFacts(
        folder=folder.name,
        checkpoint=checkpoint,
        weights_sha256=files.sha256_file(files.present_folder(folder) / WEIGHTS),
        d_model=sae.d_model,
        d_hidden=sae.d_hidden,
    )
    return Trained(layer, sae, facts, history if history and history.is_file() else None)


def check_fits(trained: Trained, model: ResidualModel) -> None:
    """Raise if the SAE was trained on another model or layer than `model` at its layer.

    Raises:
        ModelError: the model has no such layer.
        ConflictError: each field that is known to differ.
    """
    if trained.layer >= model.n_layers:
        raise ModelError(
            f"layer {trained.layer} is not in {model.identity.name}, which has {model.n_layers}"
        )
    metadata = trained.sae.metadata
    fields = sae_differences(metadata, trained.layer, model.identity.record)
    if trained.sae.d_model != model.d_model:
        fields["d_model"] = (trained.sae.d_model, model.d_model)
    refuse(
        f"the SAE {trained.facts.folder} was trained on another model or layer",
        fields,
        hint=_fitting(metadata, fields),
    )


def _fitting(metadata: Mapping[str, Any], fields: Fields) -> str:
    """What to ask for instead."""
    if set(fields) == {"layer"}:
        return f"it belongs to layer {fields['layer'][0]}"
    name = metadata.get("model_name")
    return f"use {name or 'the model that it was trained on'}: leave --model out"


def model_facts(model: ResidualModel) -> ModelFacts:
    """The model as the report names it."""
    return ModelFacts(
        name=model.identity.name,
        revision=model.identity.revision,
        weights_sha256=model.identity.weights_sha256,
        n_layers=model.n_layers,
    )


def fingerprint(
    trained: Trained,
    source: RowSource,
    model: ResidualModel,
    settings: InterpretationSettings,
    median: float | None,
    used: Mapping[str, SettingValue],
) -> str:
    """A SHA-256 of everything that a layer's report depends on."""
    document = {
        "schema": SCHEMA_VERSION,
        "algorithm": ALGORITHM,
        "sae": trained.facts.model_dump(mode="json"),
        "history": trained.history and files.sha256_file(trained.history),
        "source": source.identity(),
        "median_norm": median,
        "model": [model.identity.weights_sha256, model.identity.tokenizer_sha256, str(model.dtype)],
        "model_config": model.identity.config,
        "settings": settings.model_dump(mode="json", exclude={"max_texts", "max_tokens"}),
        "used": dict(used),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def median_norm(layer: AnySite, model: ResidualModel, workspace: Workspace) -> float | None:
    """The layer's median row norm from the store, if there is one of this model."""
    from ghosttrack_cli.store.format.commit_record import read_commit

    try:
        commit = read_commit(workspace.store)
    except GhostTrackError:
        return None
    if model_differences(commit.identity.model_record, model.identity.record):
        return None
    statistics = commit.statistics.get(layer)
    return statistics.median_norm if statistics else None
