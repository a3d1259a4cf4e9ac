"""What the SAEs of all architectures here share: a linear encoder, a linear decoder, files.

N rows, D d_model, F d_hidden, Fb features of a block, P chosen features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ghosttrack_cli.errors import ModelError, UsageError
from ghosttrack_cli.machine import devices
from ghosttrack_cli.sae.checksums import CONFIG
from ghosttrack_cli.sae.firing import activations, fires
from ghosttrack_cli.sae.folder import read_sae, write_sae
from ghosttrack_cli.sae.protocol import FeatureBlock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ghosttrack_cli.sae.folder import SAEFolder

FOLDED_ENTRIES = 2**23


class LinearSAE(nn.Module):
    """An SAE with linear encoder and decoder; an architecture says which features fire.

    Args:
        weights: the tensors that `shapes` names.
        metadata: what `cfg.json` says about where the SAE comes from.

    Raises:
        UsageError: a tensor is missing.
    """

    architecture: ClassVar[str]
    """What `cfg.json` calls it when it is written."""
    reads: ClassVar[tuple[str, ...]]
    """What `cfg.json` may call it."""

    W_enc: Tensor  # (D, F)
    b_enc: Tensor  # (F,)
    W_dec: Tensor  # (F, D)
    b_dec: Tensor  # (D,)
    threshold: Tensor | None
    """The features' own thresholds, (F,), where they have some."""

    def __init__(
        self, weights: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        names = self.shapes(1, 1)
        if missing := [name for name in names if name not in weights]:
            raise UsageError(f"weights: no {missing[0]}", hint=f"pass {', '.join(names)}")
        for name in names:
            setattr(self, name, nn.Parameter(weights[name].float(), requires_grad=False))
        self.metadata = dict(metadata or {})

    @classmethod
    def shapes(cls, d_model: int, d_hidden: int) -> dict[str, tuple[int, ...]]:
        """The tensors by name, with their shapes."""
        D, F = d_model, d_hidden
        return {"W_enc": (D, F), "b_enc": (F,), "W_dec": (F, D), "b_dec": (D,)}

    @classmethod
    def from_weights(
        cls, weights: Mapping[str, Tensor], *, metadata: Mapping[str, Any] | None = None
    ) -> Self:
        """Make an SAE of its tensors by name."""
        return cls(weights, metadata)

    @classmethod
    def from_folder(cls, folder: SAEFolder) -> Self:
        """Make an SAE of an opened folder, whose architecture is one of `reads`.

        Raises:
            CorruptionError: it does not hold the tensors of such an SAE.
        """
        weights = folder.weights(cls.shapes(*folder.sizes))
        return cls.from_weights(with_own_input(folder, weights), metadata=folder.metadata)

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
        device = devices.resolve_device(device) if isinstance(device, str) else device
        return read_sae(folder, cls._own, purpose=f"{cls.__name__}.load").to(device)

    @classmethod
    def _own(cls, folder: SAEFolder) -> Self:
        if folder.architecture not in cls.reads:
            kind = cls.__name__.removesuffix("SAE")
            raise ModelError(f"not a {kind} SAE: {folder.path / CONFIG}")
        return cls.from_folder(folder)

    @property
    def d_model(self) -> int:
        """D, the width of the residual stream."""
        return self.W_enc.shape[0]

    @property
    def d_hidden(self) -> int:
        """F, the number of features."""
        return self.W_enc.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.W_enc.device

    def weights(self) -> dict[str, Tensor]:
        """All tensors by name."""
        return {name: getattr(self, name) for name in self.shapes(1, 1)}

    def with_weights(self, weights: Mapping[str, Tensor]) -> Self:
        """An SAE that differs in its tensors only."""
        return type(self).from_weights(weights, metadata=self.metadata)

    def options(self) -> dict[str, Any]:
        """What `cfg.json` says of this architecture alone."""
        return {}

    def floors(self) -> Tensor:
        """What each feature's pre-activation must exceed on every row, not negative, (F,)."""
        raise NotImplementedError

    def thresholds(self, h: Tensor) -> Tensor:  # noqa: ARG002 - of the features, whatever the row
        """What h (..., F) must exceed to fire, not negative: (F,), or (..., 1) of each row."""
        return self.floors()

    def pre_acts(self, x: Tensor) -> Tensor:
        """Return h = x W_enc + b_enc, (..., D) to (..., F)."""
        return (x.to(self.W_enc.dtype) @ self.W_enc).add_(self.b_enc)

    def fires(self, h: Tensor) -> Tensor:
        """Which features fire, bool (..., F); h (..., F) has all of them."""
        return fires(h, self.thresholds(h))

    def acts(self, h: Tensor) -> Tensor:
        """The activations, in the memory of h (..., F): h where it fires, else 0."""
        return activations(h, self.thresholds(h))

    def encode(self, x: Tensor) -> Tensor:
        """The features' activations on rows, (..., D) to (..., F)."""
        return self.acts(self.pre_acts(x))

    def encode_features(self, x: Tensor, features: Sequence[int]) -> Tensor:
        """The activations of some features alone, (N, D) to (N, P)."""
        chosen = list(features)
        h = x @ self.W_enc[:, chosen] + self.b_enc[chosen]  # (N, P)
        return activations(h, self.floors()[chosen])

    def feature_blocks(self, x: Tensor, size: int) -> Iterator[FeatureBlock]:
        """All features on rows x (N, D), `size` of them at a time, feature by feature in memory."""
        floors = self.floors()[:, None]  # (F, 1)
        for part, h in self.pre_act_blocks(x, size):
            yield FeatureBlock(part.start, h, floors[part])

    def pre_act_blocks(self, x: Tensor, size: int) -> Iterator[tuple[slice, Tensor]]:
        """Pre-activations (Fb, N) of `size` features at a time on rows x (N, D)."""
        for first in range(0, self.d_hidden, size):
            part = slice(first, first + size)
            bias = self.b_enc[part, None]  # (Fb, 1)
            yield part, torch.addmm(bias, self.W_enc[:, part].T, x.T)

    def decode(self, acts: Tensor) -> Tensor:
        """x_hat = acts W_dec + b_dec, (..., F) to (..., D)."""
        return acts @ self.W_dec + self.b_dec

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of x, (..., D) to (..., D)."""
        return self.decode(self.encode(x))

    def folded(self, scale: float, pre_bias: Tensor) -> Self:
        """The same function on raw activations.

        `self` reads scale * x - pre_bias and reconstructs scale * x; the result reads and
        reconstructs x: W_enc s, b_enc - b W_enc, W_dec / s, b_dec / s; pre-activations, and with
        them thresholds, stay what they are.
        """
        W_enc, W_dec = torch.empty_like(self.W_enc), torch.empty_like(self.W_dec)
        b_enc = torch.empty_like(self.b_enc)
        for part in self._parts():
            wide = self.W_enc[:, part].double()  # (D, n)
            b_enc[part] = self.b_enc[part].double() - pre_bias.double() @ wide
            W_enc[:, part] = wide.mul_(scale)
            W_dec[part] = self.W_dec[part].double().div_(scale)
        changed = {
            "W_enc": W_enc,
            "b_enc": b_enc,
            "W_dec": W_dec,
            "b_dec": self.b_dec.double() / scale,
        }
        return self.with_weights(
            {name: weight.clone() for name, weight in self.weights().items() if name not in changed}
            | changed
        )

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
        about = self.metadata | dict(metadata or {})
        write_sae(folder, self._config(), self.weights(), about, sparsity)

    def _config(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture,
            "d_in": self.d_model,
            "d_sae": self.d_hidden,
            **self.options(),
            "dtype": "float32",
            "device": "cpu",
            "apply_b_dec_to_input": False,
            "normalize_activations": "none",
            "reshape_activations": "none",
        }


def with_own_input(folder: SAEFolder, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of an SAE that reads raw rows; SAELens subtracts b_dec unless told otherwise."""
    return uncentred(weights) if folder.config.get("apply_b_dec_to_input", True) else weights


def uncentred(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights for raw rows of an SAE that subtracts b_dec from them before it encodes."""
    return weights | {"b_enc": weights["b_enc"] - weights["b_dec"] @ weights["W_enc"]}
