"""SAEDashboard's collector on a model of the same size, the same token ids and the same SAE.

It needs `pip install sae-dashboard`, which is for this benchmark only (0.8.0 asks for a NumPy below
2 and a transformers below 4.57; it runs with newer ones). It runs the model once for each 256
features, so one of these passes is measured and the others are extrapolated.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ghosttrack_cli.sae.jumprelu import JumpReLUSAE

FEATURES_A_PASS = 256


def seconds_for_all(
    config: Any, layer: int, sae: JumpReLUSAE, batches: Sequence[torch.Tensor]
) -> float:
    """Seconds for all features of `sae` on all rows, from one pass of FEATURES_A_PASS of them."""
    from saelens_cache import hooked_transformer

    model = hooked_transformer(config)
    tokens = torch.cat(list(batches))  # (B, T)
    start = time.perf_counter()
    _one_pass(model, layer, sae, tokens)
    return (time.perf_counter() - start) * sae.d_hidden / FEATURES_A_PASS


def _one_pass(model: Any, layer: int, sae: JumpReLUSAE, tokens: torch.Tensor) -> None:
    from sae_dashboard.sae_vis_data import SaeVisConfig
    from sae_dashboard.sae_vis_runner import SaeVisRunner

    config = SaeVisConfig(
        hook_point=f"blocks.{layer}.hook_resid_post",
        features=range(FEATURES_A_PASS),
        minibatch_size_features=FEATURES_A_PASS,
        minibatch_size_tokens=32,
    )
    SaeVisRunner(config).run(_saelens(sae), model, tokens)


def _saelens(sae: JumpReLUSAE) -> Any:
    from sae_lens import SAE

    with tempfile.TemporaryDirectory() as folder:
        sae.save(Path(folder) / "sae")
        return SAE.load_from_disk(str(Path(folder) / "sae"), device="cpu")
