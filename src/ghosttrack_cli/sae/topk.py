"""TopK: the k largest of each row fire; and what BatchTopK is once it is trained.

N rows, D d_model, F d_hidden, P chosen features.

h = x W_enc + b_enc, acts = h where h is positive and among the k largest of its row, 0 elsewhere.
Gao et al. 2024, "Scaling and evaluating sparse autoencoders". With BatchTopK entries of a batch
compete; what is used later is one threshold, the mean of the smallest that fired: a JumpReLU.
Bussmann et al. 2024, "BatchTopK Sparse Autoencoders".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch

from ghosttrack_cli.arguments import as_count
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.sae.firing import after_largest, largest, row_thresholds
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.sae.linear import LinearSAE, with_own_input
from ghosttrack_cli.sae.protocol import FeatureBlock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from ghosttrack_cli.sae.folder import SAEFolder

ENTRIES_AT_ONCE = 2**24
"""(rows, F) that are computed at a time for a few features."""
SMALLEST_LENGTH = 1e-12


class TopKSAE(LinearSAE):
    """An SAE of which the `k` largest positive pre-activations of each row fire.

    Args:
        weights: W_enc (D, F), b_enc (F,), W_dec (F, D), b_dec (D,).
        metadata: what `cfg.json` says about where the SAE comes from.
        k: how many features fire on a row, at most.

    Raises:
        UsageError: a tensor is missing.
    """

    architecture = "topk"
    reads = ("topk",)
    threshold: None = None

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        metadata: Mapping[str, Any] | None = None,
        *,
        k: int,
    ) -> None:
        super().__init__(weights, metadata)
        self.k = k

    @classmethod
    def from_weights(
        cls,
        weights: Mapping[str, Tensor],
        *,
        metadata: Mapping[str, Any] | None = None,
        k: int | None = None,
    ) -> Self:
        """Make an SAE of the four tensors W_enc, b_enc, W_dec and b_dec; `k` has no default.

        Raises:
            UsageError: a tensor is missing, or k is no number from 1 to F.
        """
        sae = cls(weights, metadata, k=as_count(k, "k"))
        if sae.k > sae.d_hidden:
            raise UsageError(f"k: {sae.k} of {sae.d_hidden} features", hint="a smaller k")
        return sae

    def with_weights(self, weights: Mapping[str, Tensor]) -> Self:
        """An SAE that differs in its tensors only."""
        return self.from_weights(weights, metadata=self.metadata, k=self.k)

    @classmethod
    def from_folder(cls, folder: SAEFolder) -> Self:
        """Make an SAE of an opened folder.

        Raises:
            CorruptionError: it does not hold the tensors of such an SAE, or no k.
        """
        k = folder.whole_number("k", folder.sizes[1])
        weights = with_own_input(folder, folder.weights(cls.shapes(*folder.sizes)))
        return cls(_with_own_rank(folder, weights), folder.metadata, k=k)

    def options(self) -> dict[str, Any]:
        """The number of features that fire on a row."""
        return {"k": self.k}

    def floors(self) -> Tensor:
        """0 for every feature, (F,)."""
        return torch.zeros_like(self.b_enc)

    def thresholds(self, h: Tensor) -> Tensor:
        """What the k largest of each row exceed, (..., 1)."""
        return row_thresholds(h, self.k)

    def encode_features(self, x: Tensor, features: Sequence[int]) -> Tensor:
        """The activations of some features alone, which compete with all others, (N, P)."""
        rows = max(1, ENTRIES_AT_ONCE // self.d_hidden)
        return torch.cat([self.encode(part)[:, list(features)] for part in torch.split(x, rows)])

    def feature_blocks(self, x: Tensor, size: int) -> Iterator[FeatureBlock]:
        """All features on rows x (N, D), `size` of them at a time.

        Where they do not fit into one block they are computed twice: the rows' thresholds are known
        once all features were seen.
        """
        if self.d_hidden <= size:
            for part, h in self.pre_act_blocks(x, size):
                yield FeatureBlock(part.start, h, row_thresholds(h.T, self.k).T)
            return
        best = x.new_empty((len(x), 0))  # (N, k + 1)
        for _, h in self.pre_act_blocks(x, size):
            best = largest(torch.cat([best, largest(h.T, self.k)], dim=1), self.k)
        thresholds = after_largest(best, self.k).T  # (1, N)
        for part, h in self.pre_act_blocks(x, size):
            yield FeatureBlock(part.start, h, thresholds)


class BatchTopKSAE(JumpReLUSAE):
    """An SAE of BatchTopK as SAELens trains it, with the one threshold that it found."""

    reads = ("batchtopk",)

    @classmethod
    def from_folder(cls, folder: SAEFolder) -> Self:
        """Make an SAE of an opened folder; where it is written, it is a JumpReLU.

        Raises:
            CorruptionError: it does not hold the tensors of such an SAE.
        """
        shapes = LinearSAE.shapes(*folder.sizes) | {"topk_threshold": ()}
        weights = folder.weights(shapes)
        threshold = weights.pop("topk_threshold")
        weights["threshold"] = threshold.expand(folder.sizes[1]).clone()
        weights = _with_own_rank(folder, with_own_input(folder, weights))
        return cls.from_weights(weights, metadata=folder.metadata)


def _with_own_rank(folder: SAEFolder, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of an SAE that ranks features by h.

    SAELens may rank them by h times the length of their decoder row. Lengths are moved to the
    encoder: the rows get length 1, and the function is the same.
    """
    if folder.config.get("rescale_acts_by_decoder_norm", False):
        lengths = weights["W_dec"].norm(dim=1).clamp(min=SMALLEST_LENGTH)  # (F,)
        weights["W_enc"] = weights["W_enc"] * lengths
        weights["b_enc"] = weights["b_enc"] * lengths
        weights["W_dec"] = weights["W_dec"] / lengths[:, None]
    return weights
