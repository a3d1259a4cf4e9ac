"""JumpReLU: every feature fires above a threshold of its own.

B batch, D d_model, F d_hidden.

h = x W_enc + b_enc, acts = h where h > threshold and 0 elsewhere (ReLU beside it, so that a
negative threshold passes nothing negative), x_hat = acts W_dec + b_dec. Rajamanoharan et al. 2024,
"Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse Autoencoders".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from ghosttrack_cli.arguments import as_count
from ghosttrack_cli.sae.linear import LinearSAE

if TYPE_CHECKING:
    from collections.abc import Mapping


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


class JumpReLUSAE(LinearSAE):
    """One SAE of one layer; its weights are constants, training writes its own gradients out.

    A new one has decoder rows uniform on the unit sphere and the encoder tied to them.

    Args:
        d_model: D, the width of the residual stream.
        d_hidden: F, the number of features.
        threshold: of every feature, in units of pre-activations.
        seed: of the decoder rows.
        weights: W_enc (D, F), b_enc (F,), W_dec (F, D), b_dec (D,), threshold (F,), in place of new
            ones; they have the sizes then.
        metadata: what `cfg.json` says about where the SAE comes from.

    Raises:
        UsageError: sizes that are no numbers above 0, or a tensor that is missing.

    Example:
        >>> sae = JumpReLUSAE.load("run/checkpoints/sae_layer_6_best")
        >>> acts = sae.encode(x)  # (..., D) to (..., F)
        >>> left = x - sae.decode(acts)  # what the features do not explain
    """

    architecture = "jumprelu"
    reads = ("jumprelu",)

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
        if weights is None:
            sizes = as_count(d_model, "d_model"), as_count(d_hidden, "d_hidden")
            weights = random_weights(*sizes, threshold, seed)
        super().__init__(weights, metadata)

    @classmethod
    def shapes(cls, d_model: int, d_hidden: int) -> dict[str, tuple[int, ...]]:
        """The five tensors by name, with their shapes."""
        return super().shapes(d_model, d_hidden) | {"threshold": (d_hidden,)}

    @classmethod
    def from_weights(
        cls, weights: Mapping[str, Tensor], *, metadata: Mapping[str, Any] | None = None
    ) -> Self:
        """Make an SAE of the five tensors W_enc, b_enc, W_dec, b_dec and threshold."""
        return cls(0, 0, weights=weights, metadata=metadata)

    def floors(self) -> Tensor:
        """What each feature's pre-activation must exceed, (F,)."""
        return self.threshold.clamp(min=0)


KEYS = tuple(JumpReLUSAE.shapes(1, 1))
