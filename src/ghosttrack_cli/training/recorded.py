"""The settings that a layer was begun with, for whoever does not give others now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ghosttrack_cli.differences import differing
from ghosttrack_cli.errors import GhostTrackError
from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
from ghosttrack_cli.training.records.identity import settings_identity
from ghosttrack_cli.training.records.manifest import read_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ghosttrack_cli.differences import Fields
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import Workspace

BAND = frozenset({"sae_training.target_sparsity_min", "sae_training.target_sparsity_max"})
LayerSettings = tuple[SAESettings, SAETrainingSettings]


def layer_settings(
    workspace: Workspace,
    layer: AnySite,
    sae: SAESettings,
    training: SAETrainingSettings,
    *,
    is_given: Callable[[str], bool],
) -> LayerSettings:
    """The settings to go on with in a layer: those of its manifest, but for what is given now.

    A begun retraining comes before the SAE that stands. Where what is given contradicts both, the
    settings are as they are, and the training refuses them.
    """
    for place in (workspace.retraining(layer), workspace):
        recorded = _recorded(place.training_progress(layer))
        known = {key: value for key, value in recorded.items() if not is_given(key)}
        found = _with(sae, training, known)
        if recorded and found is not None and settings_identity(*found) == recorded:
            return found
    return sae, training


def differences(found: LayerSettings, others: LayerSettings) -> Fields:
    """The settings that differ, by dotted key: in `found`, and in the others.

    The accepted band goes with its target.
    """
    fields = differing(settings_identity(*found), settings_identity(*others))
    band = BAND if "sae.target_l0" in fields else frozenset[str]()
    return {key: both for key, both in fields.items() if key not in band}


def _recorded(manifest: Path) -> dict[str, Any]:
    """The settings in a manifest; none where there is no valid one."""
    try:
        document = read_progress(manifest) or {}
    except GhostTrackError:
        return {}
    settings = document.get("settings")
    return settings if isinstance(settings, dict) else {}


def _with(
    sae: SAESettings, training: SAETrainingSettings, values: Mapping[str, Any]
) -> LayerSettings | None:
    """Both sections with other values; None where this version does not take them."""
    sections: dict[str, dict[str, Any]] = {
        "sae": sae.model_dump(),
        "sae_training": training.model_dump(),
    }
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections.get(section, {})[name] = value
    try:
        return (
            SAESettings.model_validate(sections["sae"]),
            SAETrainingSettings.model_validate(sections["sae_training"]),
        )
    except ValidationError:
        return None
