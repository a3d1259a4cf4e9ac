"""The metrics against closed forms, and in whatever batches the rows come."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ghosttrack_cli.metrics import FiringCounts, ReconstructionMetrics, ReconstructionSums


def rows(count: int = 200, D: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, D, generator=generator) + torch.arange(D)


def measure(
    x: torch.Tensor, recon: torch.Tensor, acts: torch.Tensor, scale: float | None = None
) -> ReconstructionMetrics:
    sums = ReconstructionSums(x.shape[1], scale=scale)
    sums.update(x, recon, acts)
    return sums.result()


def test_a_perfect_sae() -> None:
    x = rows()
    found = measure(x, x, torch.ones(200, 3))
    assert (found.rows, found.l0, found.l1) == (200, 3.0, 3.0)
    assert (found.recon_loss, found.fvu, found.mse) == (0.0, 0.0, 0.0)
    assert found.explained_variance == 1.0
    assert found.cosine == pytest.approx(1.0)
    assert found.l2_ratio == pytest.approx(1.0)
    assert found.bias == pytest.approx(1.0)


def test_the_mean_predictor_explains_no_variance() -> None:
    x = rows()
    mean = x.double().mean(dim=0)
    found = measure(x, mean.expand_as(x), torch.zeros(200, 3))
    assert found.fvu == pytest.approx(1.0)
    energy = x.double().square().sum(dim=1).mean()
    assert found.recon_loss == pytest.approx(float(1 - mean.square().sum() / energy))


def test_a_shrunken_reconstruction() -> None:
    """With x_hat = a x: error (1 - a)^2, ratio a, cosine 1, bias a."""
    x, a = rows(), 0.7
    found = measure(x, a * x, torch.zeros(200, 3))
    assert found.recon_loss == pytest.approx((1 - a) ** 2, rel=1e-5)
    assert found.l2_ratio == pytest.approx(a, rel=1e-5)
    assert found.cosine == pytest.approx(1.0)
    assert found.bias == pytest.approx(a, rel=1e-5)


def test_the_scale_is_that_of_training() -> None:
    x = rows()
    found = measure(x, x - 1, torch.zeros(200, 3), scale=0.5)
    assert found.recon_loss == pytest.approx(6 * 0.25, rel=1e-5)
    assert found.mse == pytest.approx(1.0, rel=1e-5)


def test_zero_vectors() -> None:
    """A zero vector has no direction: its cosine counts as 0, its ratio not at all."""
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    recon = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    found = measure(x, recon, torch.zeros(2, 1))
    assert found.cosine == pytest.approx(0.5)
    assert found.l2_ratio == pytest.approx(1.0)
    nothing = measure(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 1))
    assert (nothing.fvu, nothing.cosine) == (0.0, 0.0)
    assert measure(torch.ones(3, 2), torch.zeros(3, 2), torch.zeros(3, 1)).fvu == math.inf


def test_a_mean_of_batch_ratios_would_be_another_number() -> None:
    x = torch.cat([rows(100), 10 * rows(100)])
    recon = x.clone()
    recon[:100] = x[:100].mean(dim=0)
    whole = measure(x, recon, torch.zeros(200, 1)).fvu
    halves = [
        measure(x[i : i + 100], recon[i : i + 100], torch.zeros(100, 1)).fvu for i in (0, 100)
    ]
    assert whole < 0.1 < sum(halves) / 2


@settings(deadline=None, max_examples=30)
@given(cut=st.integers(1, 199))
def test_batches_and_merging_do_not_matter(cut: int) -> None:
    x = rows()
    recon, acts = 0.9 * x + 0.1, (x - 2).relu()
    whole = ReconstructionSums(6)
    whole.update(x, recon, acts)
    left, right = ReconstructionSums(6), ReconstructionSums(6)
    left.update(x[:cut], recon[:cut], acts[:cut])
    right.update(x[cut:], recon[cut:], acts[cut:])
    left.merge(right)
    assert asdict(left.result()) == pytest.approx(asdict(whole.result()), rel=1e-12)


def test_firing_counts_by_hand() -> None:
    counts = FiringCounts(4)
    fires = torch.zeros(200, 4, dtype=torch.bool)
    fires[:, 0] = True  # always
    fires[:3, 1] = True  # 1.5 %
    fires[0, 2] = True  # 0.5 %
    counts.update(fires[:50])
    counts.update(fires[50:])
    found = counts.result()
    assert counts.counts.tolist() == [200, 3, 1, 0]
    assert (found.rows, found.features, found.dead) == (200, 4, 1)
    assert found.dead_fraction == 0.25
    assert found.dead_bound == pytest.approx(3 / 200)
    assert (found.dense_1, found.dense_10) == (0.5, 0.25)


def test_nothing_counted_yet() -> None:
    found = FiringCounts(4).result()
    assert (found.rows, found.dead_fraction, found.dead_bound) == (0, 1.0, 1.0)
