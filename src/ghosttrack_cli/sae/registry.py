"""The architectures of SAEs, and SAEs read by what their own `cfg.json` says they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.machine import devices
from ghosttrack_cli.sae.checksums import CONFIG
from ghosttrack_cli.sae.folder import read_sae
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.sae.relu import ReLUSAE
from ghosttrack_cli.sae.topk import BatchTopKSAE, TopKSAE

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from ghosttrack_cli.sae.folder import SAEFolder
    from ghosttrack_cli.sae.linear import LinearSAE
    from ghosttrack_cli.sae.protocol import SAE

KINDS: tuple[type[LinearSAE], ...] = (JumpReLUSAE, ReLUSAE, TopKSAE, BatchTopKSAE)
ARCHITECTURES: dict[str, type[LinearSAE]] = {name: kind for kind in KINDS for name in kind.reads}
"""By what `cfg.json` calls them."""


def load_sae(folder: Path | str, device: str | torch.device = "cpu") -> SAE:
    """Read an SAE folder that GhostTrack or SAELens wrote, whatever its architecture.

    Args:
        folder: has `cfg.json` and `sae_weights.safetensors`; of the architectures jumprelu,
            standard (ReLU), topk and batchtopk.
        device: auto, cpu, cuda, cuda:1.

    Returns:
        The SAE on the device; it reads and writes rows in the model's own units.

    Raises:
        UsageError: no path, or no such device.
        StateError: there is no such SAE.
        ModelError: an SAE of an architecture that is not registered.
        CorruptionError: other bytes than those that were written, or not safetensors.
        LockedError: a retraining is taking its place.

    Example:
        >>> sae = load_sae("run/checkpoints/sae_layer_6_best")
        >>> sae.architecture
        'topk'
    """
    device = devices.resolve_device(device) if isinstance(device, str) else device
    return read_sae(folder, of_its_kind, purpose="load_sae").to(device).eval()


def of_its_kind(folder: SAEFolder) -> LinearSAE:
    """The SAE in an opened folder.

    Raises:
        ModelError: an architecture that is not registered.
        CorruptionError: tensors that are not those of its architecture.
    """
    kind = ARCHITECTURES.get(str(folder.architecture))
    if kind is None:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ModelError(
            f"not supported: an SAE of the architecture {folder.architecture!r}:"
            f" {folder.path / CONFIG}",
            hint=f"supported are {known}",
        )
    return kind.from_folder(folder)
