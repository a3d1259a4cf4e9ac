"""ReLU: every feature fires above 0; SAELens calls it "standard".

F d_hidden. Bricken et al. 2023, "Towards Monosemanticity: Decomposing Language Models With
Dictionary Learning". It is read, not trained: `--sparsity l1` trains a JumpReLU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ghosttrack_cli.sae.linear import LinearSAE

if TYPE_CHECKING:
    from torch import Tensor


class ReLUSAE(LinearSAE):
    """An SAE whose features fire above 0."""

    architecture = "standard"
    reads = ("standard",)
    threshold: None = None

    def floors(self) -> Tensor:
        """0 for every feature, (F,)."""
        return torch.zeros_like(self.b_enc)
