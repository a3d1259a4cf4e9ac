"""Splicing into a real model: a perfect SAE loses nothing, a silent one everything."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ghosttrack_cli.interpretation.features.loss_recovered import Splice, measure_recovered
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE

LAYER = 3


def sae_with(W: torch.Tensor, b_dec: torch.Tensor, threshold: float) -> JumpReLUSAE:
    """x -> ReLU(x W) and ReLU(-x W), put together again: the identity for an orthogonal W."""
    both = torch.cat([W, -W], dim=1)
    return JumpReLUSAE.from_weights(
        {
            "W_enc": both,
            "b_enc": torch.zeros(both.shape[1]),
            "W_dec": both.T.contiguous(),
            "b_dec": b_dec,
            "threshold": torch.full((both.shape[1],), threshold),
        }
    )


@pytest.fixture(scope="session")
def windows(demo_model: Any, documents: list[str]) -> list[torch.Tensor]:
    tokenizer = demo_model.tokenizer
    ids = [[tokenizer.bos_token_id, *tokenizer(text)["input_ids"]][:30] for text in documents[:3]]
    return [torch.tensor(row) for row in [*ids, ids[0][:7]]]


def measure(model: Any, windows: Any, sae: JumpReLUSAE, median: float | None = None) -> Any:
    mean = torch.linspace(-1, 1, model.d_model)
    splice = Splice(LAYER, sae, mean, median)
    return measure_recovered(model, [splice], windows)[LAYER]


def test_perfect_sae_recovers_everything(demo_model: Any, windows: Any) -> None:
    D = demo_model.d_model
    for result in measure(demo_model, windows, sae_with(torch.eye(D), torch.zeros(D), 0.0)):
        assert result.ce_recovered == pytest.approx(1, abs=1e-4)
        assert result.kl_recovered == pytest.approx(1, abs=1e-4)
        assert result.ce_sae == pytest.approx(result.ce_clean, abs=1e-4)


def test_silent_sae_recovers_nothing(demo_model: Any, windows: Any) -> None:
    D = demo_model.d_model
    for result in measure(demo_model, windows, sae_with(torch.eye(D), torch.zeros(D), 1e9)):
        assert (result.ce_recovered, result.kl_recovered) == (0, 0)
        assert result.ce_sae == result.ce_zero


def test_mean_predictor_equals_mean_ablation(demo_model: Any, windows: Any) -> None:
    D = demo_model.d_model
    mean = torch.linspace(-1, 1, D)
    for result in measure(demo_model, windows, sae_with(torch.eye(D), mean, 1e9)):
        assert result.ce_sae == pytest.approx(result.ce_mean)
        assert result.kl_sae == pytest.approx(result.kl_mean)


def test_clean_loss_and_rows_equal_the_model_window_by_window(
    demo_model: Any, windows: Any
) -> None:
    D = demo_model.d_model
    kept, everything = measure(demo_model, windows, sae_with(torch.eye(D), torch.zeros(D), 0.0))
    losses = []
    for window in windows:
        logits = demo_model.logits(window[None])[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, window[1:], reduction="none"))
    assert everything.rows == sum(len(loss) for loss in losses)
    assert everything.ce_clean == pytest.approx(float(torch.cat(losses).mean()), abs=1e-4)
    assert kept.rows == everything.rows - len(windows)
    assert kept.ce_clean == pytest.approx(
        float(torch.cat([loss[1:] for loss in losses]).mean()), abs=1e-4
    )


def test_outliers_stay_in_place(demo_model: Any, windows: Any) -> None:
    D = demo_model.d_model
    silent = sae_with(torch.eye(D), torch.zeros(D), 1e9)
    kept, everything = measure(demo_model, windows, silent, median=1e-6)
    assert kept is None
    assert everything.rows > 0
