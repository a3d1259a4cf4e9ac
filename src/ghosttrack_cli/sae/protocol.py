"""What an SAE is to whoever evaluates, interprets, splices or exports one, of any architecture.

N rows, D d_model, F d_hidden, Fb features of a block, P chosen features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import torch
    from torch import Tensor


class FeatureBlock(NamedTuple):
    """Consecutive features, from number `first` on, on some rows."""

    first: int
    pre_acts: Tensor  # (Fb, N)
    thresholds: Tensor  # (Fb, 1) of the features, or (1, N) of the rows


class SAE(Protocol):
    """A linear encoder and decoder; a feature fires where its pre-activation exceeds a threshold.

    Whatever the architecture, this is what an SAE can be asked; `load_sae` reads one. `metadata` is
    what `cfg.json` says about where it comes from.

    Example:
        >>> sae: SAE = load_sae("run/checkpoints/sae_layer_6_best")
        >>> fired = sae.fires(sae.pre_acts(x))  # (..., D) to bool (..., F)
    """

    metadata: dict[str, Any]
    W_enc: Tensor  # (D, F) the directions that features read
    b_enc: Tensor  # (F,)
    W_dec: Tensor  # (F, D) the directions that features write
    b_dec: Tensor  # (D,)

    @property
    def architecture(self) -> str:
        """What `cfg.json` calls it."""
        ...

    @property
    def d_model(self) -> int:
        """D, the width of the residual stream."""
        ...

    @property
    def d_hidden(self) -> int:
        """F, the number of features."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    @property
    def threshold(self) -> Tensor | None:
        """The features' own thresholds, (F,), which may be scaled in place; None without any."""
        ...

    def pre_acts(self, x: Tensor) -> Tensor:
        """Return h = x W_enc + b_enc, (..., D) to (..., F)."""
        ...

    def thresholds(self, h: Tensor) -> Tensor:
        """What h (..., F) must exceed to fire, not negative: (F,), or (..., 1) of each row."""
        ...

    def fires(self, h: Tensor) -> Tensor:
        """Which features fire, bool (..., F); h (..., F) has all of them."""
        ...

    def acts(self, h: Tensor) -> Tensor:
        """The activations, in the memory of h (..., F): h where it fires, else 0."""
        ...

    def encode(self, x: Tensor) -> Tensor:
        """The features' activations on rows, (..., D) to (..., F)."""
        ...

    def encode_features(self, x: Tensor, features: Sequence[int]) -> Tensor:
        """The activations of some features alone, (N, D) to (N, P)."""
        ...

    def feature_blocks(self, x: Tensor, size: int) -> Iterator[FeatureBlock]:
        """All features on rows x (N, D), `size` of them at a time."""
        ...

    def decode(self, acts: Tensor) -> Tensor:
        """x_hat = acts W_dec + b_dec, (..., F) to (..., D)."""
        ...

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of x, (..., D) to (..., D)."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """All tensors by name."""
        ...

    def options(self) -> dict[str, Any]:
        """What `cfg.json` says of this architecture alone, such as the k of TopK."""
        ...

    def folded(self, scale: float, pre_bias: Tensor) -> SAE:
        """The same function on raw activations, of one that reads scale * x - pre_bias."""
        ...

    def save(
        self,
        folder: Path | str,
        *,
        metadata: Mapping[str, Any] | None = None,
        sparsity: Tensor | None = None,
    ) -> None:
        """Write the folder that SAELens loads; `sparsity` are firing rates, (F,)."""
        ...
