"""JumpReLU sparse autoencoder: encode, decode, fold, save and load.

B batch, D d_model, F d_hidden.

h = x W_enc + b_enc, acts = h where h > threshold and 0 elsewhere (ReLU beside it, so that a
negative threshold passes nothing negative), x_hat = acts W_dec + b_dec. Rajamanoharan et al. 2024,
"Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse Autoencoders".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from ghosttrack_cli import files
from ghosttrack_cli.arguments import as_count, as_path
from ghosttrack_cli.errors import CorruptionError, ModelError, StateError, UsageError
from ghosttrack_cli.machine import devices
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
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEYS = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
SAE_LENS_VERSION = "6.54.0"
MAX_D_HIDDEN = 2**22
PICKLES = {".pt", ".pth", ".bin", ".ckpt"}
RARE = 1e-10
FOLDED_ENTRIES = 2**23


def random_weights(d_model: int, d_hidden: int, threshold: float, seed: int) -> dict[str, Tensor]:
    """Decoder rows uniform on the unit sphere, the encoder their transpose, biases 0."""
    generator = torch.Generator().manual_seed(seed)
    W_dec = torch.randn(d_hidden, d_model, generator=generator)  # (F, D)
    W_dec = W_dec / W_dec.norm(dim=1, keepdim=True)
    return {
        "W_enc": W_dec.T.contiguous(),
        "b_enc": torch.zeros(d_hidden),
        "W_dec": W_dec,
        "b_dec": torch.zeros(d_model),
        "threshold": torch.full((d_hidden,), float(threshold)),
    }


class JumpReLUSAE(nn.Module):
    """One SAE of one layer; its weights are constants, training writes its own gradients out.

    A new one has decoder rows uniform on the unit sphere and the encoder tied to them.

    Args:
        d_model: D, the width of the residual stream.
        d_hidden: F, the number of features.
        threshold: of every feature, in units of pre-activations.
        seed: of the decoder rows.
        weights: W_enc (D, F), b_enc (F,), W_dec (F, D), b_dec (D,), threshold (F,), in place of new
            ones.
        metadata: what `cfg.json` says about where the SAE comes from.

    Raises:
        UsageError: sizes that are no numbers above 0, or a tensor that is missing.

    Example:
        >>> sae = JumpReLUSAE.load("run/checkpoints/sae_layer_6_best")
        >>> acts = sae.encode(x)  # (..., D) to (..., F)
        >>> left = x - sae.decode(acts)  # what the features do not explain
    """

    W_enc: Tensor  # (D, F)
    b_enc: Tensor  # (F,)
    W_dec: Tensor  # (F, D)
    b_dec: Tensor  # (D,)
    threshold: Tensor  # (F,)

    def __init__(
        self,
        d_model: int,
        d_hidden: int,
        threshold: float = 0.001,
        *,
        seed: int = 0,
        weights: Mapping[str, Tensor] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if weights is None:
            sizes = as_count(d_model, "d_model"), as_count(d_hidden, "d_hidden")
            weights = random_weights(*sizes, threshold, seed)
        if missing := [name for name in KEYS if name not in weights]:
            raise UsageError(f"weights: no {missing[0]}", hint=f"pass {', '.join(KEYS)}")
        for name in KEYS:
            setattr(self, name, nn.Parameter(weights[name].float(), requires_grad=False))
        self.metadata = dict(metadata or {})

    @classmethod
    def from_weights(
        cls, weights: Mapping[str, Tensor], *, metadata: Mapping[str, Any] | None = None
    ) -> Self:
        """Make an SAE of the five tensors W_enc, b_enc, W_dec, b_dec and threshold."""
        D, F = weights["W_enc"].shape
        return cls(D, F, weights=weights, metadata=metadata)

    @property
    def d_model(self) -> int:
        """D, the width of the residual stream."""
        return self.W_enc.shape[0]

    @property
    def d_hidden(self) -> int:
        """F, the number of features."""
        return self.W_enc.shape[1]

    def weights(self) -> dict[str, Tensor]:
        """The five tensors by name."""
        return {name: getattr(self, name) for name in KEYS}

    def pre_acts(self, x: Tensor) -> Tensor:
        """Return h = x W_enc + b_enc, (..., D) to (..., F)."""
        return (x.to(self.W_enc.dtype) @ self.W_enc).add_(self.b_enc)

    def encode(self, x: Tensor) -> Tensor:
        """The features' activations, (..., D) to (..., F): h where h > threshold, else 0."""
        h = self.pre_acts(x)
        return h.masked_fill_(h <= self.threshold.clamp(min=0), 0.0)

    def decode(self, acts: Tensor) -> Tensor:
        """x_hat = acts W_dec + b_dec, (..., F) to (..., D)."""
        return acts @ self.W_dec + self.b_dec

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of x, (..., D) to (..., D)."""
        return self.decode(self.encode(x))

    def folded(self, scale: float, pre_bias: Tensor) -> JumpReLUSAE:
        """The same function on raw activations.

        `self` reads scale * x - pre_bias and reconstructs scale * x; the result reads and
        reconstructs x: W_enc s, b_enc - b W_enc, W_dec / s, b_dec / s, threshold unchanged.
        """
        W_enc, W_dec = torch.empty_like(self.W_enc), torch.empty_like(self.W_dec)
        b_enc = torch.empty_like(self.b_enc)
        for part in self._parts():
            wide = self.W_enc[:, part].double()  # (D, n)
            b_enc[part] = self.b_enc[part].double() - pre_bias.double() @ wide
            W_enc[:, part] = wide.mul_(scale)
            W_dec[part] = self.W_dec[part].double().div_(scale)
        weights = {
            "W_enc": W_enc,
            "b_enc": b_enc,
            "W_dec": W_dec,
            "b_dec": self.b_dec.double() / scale,
            "threshold": self.threshold.clone(),
        }
        return type(self).from_weights(weights, metadata=self.metadata)

    def _parts(self) -> Iterator[slice]:
        """All features, as many at a time as need no large memory in float64."""
        size = max(1, FOLDED_ENTRIES // self.d_model)
        return (slice(start, start + size) for start in range(0, self.d_hidden, size))

    def save(
        self,
        folder: Path | str,
        *,
        metadata: Mapping[str, Any] | None = None,
        sparsity: Tensor | None = None,
    ) -> None:
        """Write the folder that SAELens loads, whole or not at all, with SHA-256 sums beside.

        `sparsity` holds the firing rate of each feature, (F,); its log10 is written.
        """
        folder = as_path(folder, "folder")
        temporary = folder.with_name(folder.name + files.TEMPORARY_SUFFIX)
        files.remove(temporary)
        files.make_folder(temporary)
        files.write_json(temporary / CONFIG, self._config(metadata or {}))
        sums = {
            CONFIG: files.sha256_file(temporary / CONFIG),
            WEIGHTS: write_tensors(temporary / WEIGHTS, self.weights()),
        }
        if sparsity is not None:
            rates = (sparsity.float() + RARE).log10()
            sums[SPARSITY] = write_tensors(temporary / SPARSITY, {"sparsity": rates})
        files.write_sealed(temporary / CHECKSUMS, {"schema": 1, "sha256": sums})
        files.replace_folder(temporary, folder)

    def _config(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "architecture": "jumprelu",
            "d_in": self.d_model,
            "d_sae": self.d_hidden,
            "dtype": "float32",
            "device": "cpu",
            "apply_b_dec_to_input": False,
            "normalize_activations": "none",
            "reshape_activations": "none",
            "metadata": {"sae_lens_version": SAE_LENS_VERSION, "hook_head_index": None}
            | self.metadata
            | dict(metadata),
        }

    @classmethod
    def load(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        """Read a folder that `save` or SAELens wrote.

        Raises:
            UsageError: no path, or no such device.
            StateError: there is no such SAE.
            ModelError: an SAE of another kind.
            CorruptionError: other bytes than those that were written, or not safetensors.
            LockedError: a retraining is taking its place.
        """
        folder = sae_folder(folder, "folder")
        device = devices.resolve_device(device) if isinstance(device, str) else device
        try:
            with reading_folder(folder, "JumpReLUSAE.load"):
                config, weights = files.read_folder(folder, _read)
        except FileNotFoundError as error:
            raise StateError(
                f"no SAE here: {folder}", hint="ghosttrack train writes one for each layer"
            ) from error
        if config.get("apply_b_dec_to_input", True):
            weights["b_enc"] = weights["b_enc"] - weights["b_dec"] @ weights["W_enc"]
        metadata = config.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise CorruptionError(f"metadata is not a JSON object: {folder / CONFIG}")
        sae = cls.from_weights(weights, metadata=metadata)
        return sae.to(device)


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


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights, which fit each other."""
    config = files.read_json(folder / CONFIG, limit=MAX_CONFIG_BYTES)
    sums = read_sums(folder)
    _check_config(folder, config, sums)
    limit = _weight_bytes(config) + 2**20
    weights = read_tensors(folder / WEIGHTS, sha256=sums.get(WEIGHTS), limit=limit)
    _check_shapes(folder, config, weights)
    return config, weights


def _check_config(folder: Path, config: Mapping[str, Any], sums: Mapping[str, str]) -> None:
    path = folder / CONFIG
    if CONFIG in sums and files.sha256_file(path) != sums[CONFIG]:
        raise CorruptionError(f"checksum does not match: {path} is not what was written")
    if config.get("architecture") != "jumprelu":
        raise ModelError(f"not a JumpReLU SAE: {path}")
    for key, largest in (("d_in", MAX_D_MODEL), ("d_sae", MAX_D_HIDDEN)):
        size = config.get(key)
        if not isinstance(size, int) or not 1 <= size <= largest:
            raise CorruptionError(f"{key} out of range in {path}: {size!r}, must be 1 to {largest}")
    if config.get("normalize_activations", "none") != "none":
        raise ModelError(
            f"not supported: an SAE that normalises its input: {path}",
            hint="fold the normalisation into the weights in the program that wrote it",
        )


def _weight_bytes(config: Mapping[str, Any]) -> int:
    D, F = config["d_in"], config["d_sae"]
    return 4 * int(2 * D * F + D + 2 * F)


def _check_shapes(folder: Path, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    D, F = config["d_in"], config["d_sae"]
    expected = dict(zip(KEYS, ((D, F), (F,), (F, D), (D,), (F,)), strict=True))
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if found != expected:
        raise CorruptionError(f"tensors do not match {CONFIG}: {folder / WEIGHTS}: {found}")
    for name, tensor in weights.items():
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise CorruptionError(f"{name} is not finite: {folder / WEIGHTS}")
