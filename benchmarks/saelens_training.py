"""SAELens' trainers on given rows: JumpReLU, TopK and BatchTopK, as SAEs on raw activations.

It needs `pip install sae-lens`, which is for this benchmark only. The rows come with their mean
taken out and E|x|^2 = D, the scale that SAELens' own normalisation gives; warm-up of learning rate
and penalty are those of our recipe, the decay is the better of ours and a shorter one, everything
else is SAELens' default.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.settings.schema import SAETrainingSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

RECIPE = SAETrainingSettings()
DECAYS = {"JumpReLU": 0.2, "TopK": RECIPE.decay_fraction, "BatchTopK": RECIPE.decay_fraction}
"""Their JumpReLU holds log-thresholds, which come to the target too late as the rate falls."""
KINDS = tuple(DECAYS)


class Trained(NamedTuple):
    """An SAE on raw activations; with `k` only the k largest of a row are kept."""

    sae: JumpReLUSAE
    k: int | None
    seconds: float


def train(
    kind: str,
    rows: Iterator[Tensor],
    mean: Tensor,
    scale: float,
    *,
    d_hidden: int,
    target_l0: float,
    learning_rate: float,
    steps: int,
    seed: int,
) -> Trained:
    """Train one SAE on batches (B, D) in our units, x * scale - mean."""
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    torch.manual_seed(seed)
    D = len(mean)
    sae = _untrained(kind, D, d_hidden, target_l0, round(RECIPE.sparsity_warmup_fraction * steps))
    first = next(rows)
    config = SAETrainerConfig(
        total_training_samples=steps * len(first),
        train_batch_size_samples=len(first),
        lr=learning_rate,
        lr_end=learning_rate / 1000,
        lr_warm_up_steps=round(RECIPE.warmup_fraction * steps),
        lr_decay_steps=round(DECAYS[kind] * steps),
        device=str(mean.device),
        autocast=mean.is_cuda,
    )
    scaled = (x * math.sqrt(D) for x in _again(first, rows))
    started = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        SAETrainer(config, sae, scaled).fit()
    seconds = time.perf_counter() - started
    k = round(target_l0) if kind == "TopK" else None
    return Trained(_on_raw_rows(sae, mean.cpu(), scale), k, seconds)


def _again(first: Tensor, rows: Iterator[Tensor]) -> Iterator[Tensor]:
    yield first
    yield from rows


def _untrained(kind: str, d_in: int, d_sae: int, target_l0: float, warmup: int) -> Any:
    import sae_lens

    shape: dict[str, Any] = {"d_in": d_in, "d_sae": d_sae}
    match kind:
        case "JumpReLU":
            config = sae_lens.JumpReLUTrainingSAEConfig(
                **shape,
                jumprelu_sparsity_loss_mode="quadratic",
                target_l0=target_l0,
                l0_warm_up_steps=warmup,
            )
            return sae_lens.JumpReLUTrainingSAE(config)
        case "TopK":
            return sae_lens.TopKTrainingSAE(
                sae_lens.TopKTrainingSAEConfig(**shape, k=round(target_l0))
            )
        case _:
            return sae_lens.BatchTopKTrainingSAE(
                sae_lens.BatchTopKTrainingSAEConfig(**shape, k=target_l0)
            )


def _on_raw_rows(trained: Any, mean: Tensor, scale: float) -> JumpReLUSAE:
    """The SAE that SAELens would save, folded to read and write raw activations."""
    state = {name: value.detach().cpu().float() for name, value in trained.state_dict().items()}
    trained.process_state_dict_for_saving_inference(state)
    F, D = state["W_dec"].shape
    b_enc, b_dec = state["b_enc"], state["b_dec"]
    if trained.cfg.apply_b_dec_to_input:
        b_enc = b_enc - b_dec @ state["W_enc"]
    in_their_units = JumpReLUSAE.from_weights(
        {
            "W_enc": state["W_enc"],
            "b_enc": b_enc,
            "W_dec": state["W_dec"],
            "b_dec": b_dec + mean * math.sqrt(D),
            # Their last step may leave one below 0, which their next one would have clamped.
            "threshold": state.get("threshold", torch.zeros(F)).clamp(min=0.0),
        }
    )
    return in_their_units.folded(scale * math.sqrt(D), mean * math.sqrt(D))
