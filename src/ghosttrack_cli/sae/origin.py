"""Where an imported SAE came from, as its own `cfg.json` says; nothing heavy is loaded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import GhostTrackError
from ghosttrack_cli.sae.checksums import CONFIG, MAX_CONFIG_BYTES

if TYPE_CHECKING:
    from pathlib import Path

KEY = "imported"


@dataclass(frozen=True)
class Imported:
    """What was found when it was imported; figures are None where it was not checked."""

    source: str
    family: str
    model: str | None = None
    """The model that it was checked with, or that it says it is of."""
    tokens: int | None = None
    fvu: float | None = None
    l0: float | None = None

    def to_json(self) -> dict[str, Any]:
        """What `metadata` of an SAE folder has under KEY."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> Imported | None:
        """Read that; None for anything else."""
        known = document if isinstance(document, dict) else {}
        source, family, model = (known.get(name) for name in ("source", "family", "model"))
        if not (isinstance(source, str) and isinstance(family, str)):
            return None
        tokens, fvu, l0 = (known.get(name) for name in ("tokens", "fvu", "l0"))
        return cls(
            source,
            family,
            model if isinstance(model, str) else None,
            tokens if type(tokens) is int else None,
            fvu if isinstance(fvu, int | float) else None,
            l0 if isinstance(l0, int | float) else None,
        )


def read_imported(folder: Path) -> Imported | None:
    """What the SAE in `folder` says; None where it was trained here, damaged, or not there."""
    try:
        path = files.present_folder(folder) / CONFIG
        metadata = files.read_json(path, limit=MAX_CONFIG_BYTES).get("metadata")
    except (FileNotFoundError, NotADirectoryError, GhostTrackError):
        return None
    return Imported.from_json(metadata.get(KEY)) if isinstance(metadata, dict) else None
