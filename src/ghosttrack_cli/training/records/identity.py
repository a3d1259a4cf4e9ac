"""What a training was made with: it must be equal whenever the training is continued."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import torch

from ghosttrack_cli.differences import differing, refuse
from ghosttrack_cli.machine.devices import dtype_name
from ghosttrack_cli.training.targets import accepted_band

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.differences import Fields
    from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.read.reader import ActivationStore

FREE = frozenset(
    {
        "device",
        "layers_at_once",
        "deterministic",
        "checkpoint_minutes",
        "checkpoint_steps",
        "target_recon_loss",
        "log_to",
    }
)


def store_identity(store: ActivationStore) -> dict[str, Any]:
    """The store's own identity as one hash, and how many rows it has."""
    document = json.dumps(store.identity.to_json(), sort_keys=True)
    return {"identity": hashlib.sha256(document.encode()).hexdigest(), "rows": store.rows}


def settings_identity(sae: SAESettings, training: SAETrainingSettings) -> dict[str, Any]:
    """The settings that change what comes out, by their dotted keys."""
    band = accepted_band(sae, training)
    accepted = {"target_sparsity_min": band.low, "target_sparsity_max": band.high}
    sections = {"sae": sae.model_dump(), "sae_training": training.model_dump() | accepted}
    return {
        f"{section}.{name}": value
        for section, values in sections.items()
        for name, value in values.items()
        if name not in FREE
    }


def digest(document: Mapping[str, Any]) -> str:
    """A short hash of a JSON document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def same(found: Mapping[str, Any], store: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether `found`, from disk, has this store and these settings."""
    return not _differing(found, store, settings)


def check_same(
    layer: AnySite, found: Mapping[str, Any], store: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Raise a ConflictError when `found`, from disk, differs in its store or its settings."""
    fields = _differing(found, store, settings)
    what = f"layer {layer} was trained with a different store or settings"
    hint = (
        "leave out the settings that differ, or use --overwrite to retrain it; the old SAE stays"
        " until that is finished"
    )
    if set(fields) == {"store.rows"}:
        rows, now = found["store"]["rows"], store["rows"]
        what = f"layer {layer} was trained on {rows:,} rows of the store, which has {now:,} now"
        hint = (
            f"ghosttrack train --layers {layer} --overwrite retrains it on all rows; the old SAE"
            " stays until that is finished"
        )
    refuse(what, fields, hint=hint)


def _differing(
    found: Mapping[str, Any], store: Mapping[str, Any], settings: Mapping[str, Any]
) -> Fields:
    return differing({"store": found["store"], **found["settings"]}, {"store": store, **settings})


def environment(device: torch.device, products: torch.dtype) -> dict[str, Any]:
    """What bits depend on besides the settings; `products` is what matrix products are made in."""
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "products": dtype_name(products),
    }
