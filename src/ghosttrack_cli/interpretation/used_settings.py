"""The settings that a report was made with: the interpretation's, and those of its SAE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.interpretation.inputs import Trained
    from ghosttrack_cli.report.record import SettingValue
    from ghosttrack_cli.settings.schema import InterpretationSettings

SAE_SECTION = "sae."
MAX_BYTES = 1 << 24


def used_settings(
    settings: InterpretationSettings, trained: Trained, progress: Path
) -> dict[str, SettingValue]:
    """All that are set, by their dotted names; the texts are named by the report's source.

    Raises:
        CorruptionError: `progress`, the manifest of the training, is damaged.
    """
    own = settings.model_dump(mode="json", exclude={"texts"}, exclude_none=True)
    named = {f"interpretation.{name}": value for name, value in own.items()}
    return named | _of_training(trained, progress)


def _of_training(trained: Trained, progress: Path) -> dict[str, SettingValue]:
    """The SAE's settings from its training's manifest; none where it is another training's."""
    try:
        document = files.read_sealed(progress, limit=MAX_BYTES)
    except FileNotFoundError:
        return {}
    except CorruptionError as error:
        hint = "ghosttrack train rebuilds it from the last checkpoint"
        raise CorruptionError(error.what, hint=hint) from error
    ours = trained.sae.metadata.get("ghosttrack")
    if not isinstance(ours, dict) or ours.get("scale") != document.get("scale"):
        return {}
    return {
        name: value
        for name, value in sorted(document.get("settings", {}).items())
        if name.startswith(SAE_SECTION) and value is not None
    }
