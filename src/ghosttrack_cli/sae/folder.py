"""The folder of an SAE: cfg.json and tensors, written whole and read with distrust.

D d_model, F d_hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from ghosttrack_cli import files
from ghosttrack_cli.arguments import as_path
from ghosttrack_cli.errors import CorruptionError, ModelError, StateError
from ghosttrack_cli.quantities import MAX_D_MODEL
from ghosttrack_cli.sae.checksums import (
    CHECKSUMS,
    CONFIG,
    MAX_CONFIG_BYTES,
    SPARSITY,
    WEIGHTS,
    read_sums,
    reading_folder,
)
from ghosttrack_cli.tensorfiles import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

SAE_LENS_VERSION = "6.54.0"
MAX_D_HIDDEN = 2**22
PICKLES = {".pt", ".pth", ".bin", ".ckpt"}
RARE = 1e-10
HEADER_BYTES = 2**20
Read = TypeVar("Read")


def read_sae(folder: Path | str, read: Callable[[SAEFolder], Read], *, purpose: str) -> Read:
    """What `read` makes of an SAE folder; nobody replaces it meanwhile.

    Raises:
        UsageError: no path.
        StateError: there is no such SAE.
        ModelError: one that normalises its input.
        CorruptionError: other bytes than those that were written, or sizes that cannot be.
        LockedError: a retraining is taking its place.
    """
    path = sae_folder(folder, "folder")
    try:
        with reading_folder(path, purpose):
            return files.read_folder(path, lambda present: read(SAEFolder.open(present)))
    except FileNotFoundError as error:
        raise StateError(
            f"no SAE here: {path}", hint="ghosttrack train writes one for each layer"
        ) from error


@dataclass(frozen=True)
class SAEFolder:
    """A folder whose cfg.json is readable, and what that says."""

    path: Path
    config: dict[str, Any]
    sums: dict[str, str]

    @classmethod
    def open(cls, path: Path) -> SAEFolder:
        """Read cfg.json, and refuse what no architecture can be read from.

        Raises:
            FileNotFoundError, ModelError, CorruptionError: as `read_sae`.
        """
        config = files.read_json(path / CONFIG, limit=MAX_CONFIG_BYTES)
        found = cls(path, config, read_sums(path))
        found.check()
        return found

    @property
    def architecture(self) -> object:
        """What cfg.json calls it."""
        return self.config.get("architecture")

    @property
    def sizes(self) -> tuple[int, int]:
        """D and F."""
        return self.config["d_in"], self.config["d_sae"]

    @property
    def metadata(self) -> dict[str, Any]:
        """Where the SAE comes from.

        Raises:
            CorruptionError: not a JSON object.
        """
        metadata = self.config.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise CorruptionError(f"metadata is not a JSON object: {self.path / CONFIG}")
        return metadata

    def check(self) -> None:
        """Refuse what no architecture can be read from; raises as `open`."""
        path = self.path / CONFIG
        if CONFIG in self.sums and files.sha256_file(path) != self.sums[CONFIG]:
            raise CorruptionError(f"checksum does not match: {path} is not what was written")
        for key, largest in (("d_in", MAX_D_MODEL), ("d_sae", MAX_D_HIDDEN)):
            self.whole_number(key, largest)
        if self.config.get("normalize_activations", "none") != "none":
            raise ModelError(
                f"not supported: an SAE that normalises its input: {path}",
                hint="fold the normalisation into the weights in the program that wrote it",
            )

    def whole_number(self, key: str, largest: int) -> int:
        """A number of cfg.json from 1 to `largest`.

        Raises:
            CorruptionError: it is none.
        """
        number = self.config.get(key)
        if type(number) is not int or not 1 <= number <= largest:
            place = self.path / CONFIG
            raise CorruptionError(
                f"{key} out of range in {place}: {number!r}, must be 1 to {largest}"
            )
        return number

    def weights(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """The tensors, which must have these names and shapes, as float32.

        Raises:
            FileNotFoundError: there are none.
            CorruptionError: others, or not finite, or other bytes than those that were written.
        """
        path = self.path / WEIGHTS
        limit = 4 * sum(map(prod, shapes.values())) + HEADER_BYTES
        tensors = read_tensors(path, sha256=self.sums.get(WEIGHTS), limit=limit)
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if found != dict(shapes):
            raise CorruptionError(f"tensors do not match {CONFIG}: {path}: {found}")
        for name, tensor in tensors.items():
            if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
                raise CorruptionError(f"{name} is not finite: {path}")
        return {name: tensor.float() for name, tensor in tensors.items()}


def write_sae(
    folder: Path | str,
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    sparsity: Tensor | None,
) -> None:
    """Write the folder that SAELens loads, whole or not at all, with SHA-256 sums beside.

    `config` is what is special to an architecture; `sparsity` holds the firing rate of each
    feature, (F,): its log10 is written.
    """
    folder = as_path(folder, "folder")
    temporary = folder.with_name(folder.name + files.TEMPORARY_SUFFIX)
    files.remove(temporary)
    files.make_folder(temporary)
    files.write_json(temporary / CONFIG, {**config, "metadata": _metadata(metadata)})
    sums = {
        CONFIG: files.sha256_file(temporary / CONFIG),
        WEIGHTS: write_tensors(temporary / WEIGHTS, weights),
    }
    if sparsity is not None:
        rates = (sparsity.float() + RARE).log10()
        sums[SPARSITY] = write_tensors(temporary / SPARSITY, {"sparsity": rates})
    files.write_sealed(temporary / CHECKSUMS, {"schema": 1, "sha256": sums})
    files.replace_folder(temporary, folder)


def _metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {"sae_lens_version": SAE_LENS_VERSION, "hook_head_index": None, **metadata}


def sae_folder(path: Path | str, name: str) -> Path:
    """The folder of an SAE; `sae_layer_6_best.pt`, the original's name for it, finds ours.

    Raises:
        UsageError: no path.
        StateError: a file of another kind, which is not opened, or no such folder.
    """
    folder = as_path(path, name)
    if folder.is_file():
        raise StateError(
            f"not an SAE folder: {folder}",
            hint="SAEs are folders with cfg.json and sae_weights.safetensors; pickles are not read",
        )
    if folder.suffix not in PICKLES or folder.is_dir():
        return folder
    ours = folder.with_suffix("")
    if not files.present_folder(ours).is_dir():
        raise StateError(
            f"no SAE here: {folder}",
            hint=f"train_sae_for_layer writes SAEs as folders: {ours}",
        )
    return ours
