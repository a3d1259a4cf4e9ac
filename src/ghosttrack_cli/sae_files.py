"""The files of an SAE's folder, and what they say of it without loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, GhostTrackError

if TYPE_CHECKING:
    from pathlib import Path

CONFIG, WEIGHTS, SPARSITY, CHECKSUMS = (
    "cfg.json",
    "sae_weights.safetensors",
    "sparsity.safetensors",
    "checksums.json",
)
MAX_CONFIG_BYTES = 2**22


def read_sums(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of an SAE; an SAE folder of another program has none.

    Raises:
        CorruptionError: the list of them is damaged.
    """
    try:
        sums = files.read_sealed(folder / CHECKSUMS, limit=MAX_CONFIG_BYTES)["sha256"]
        return {str(name): str(value) for name, value in sums.items()}
    except FileNotFoundError:
        return {}
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptionError(f"not a list of checksums: {folder / CHECKSUMS}") from error


def is_another_sae(folder: Path, weights_sha256: str | None) -> bool:
    """Whether `folder` is known to hold another SAE than the one with these weights."""
    try:
        present = read_sums(files.present_folder(folder)).get(WEIGHTS)
    except GhostTrackError:
        return False
    return None not in (present, weights_sha256) and present != weights_sha256
