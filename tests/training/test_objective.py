"""The loss and its gradients against hand-computed values, NumPy and autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from ghosttrack_cli.penalties import PENALTIES
from ghosttrack_cli.training.step.objective import (
    Objective,
    Weights,
    batch_cut,
    dense_gradients,
    firing_thresholds,
    penalty,
    project,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Array = "NDArray[np.float64]"
MODES = list(PENALTIES)


def objective(sparsity: str = "target", **changes: float) -> Objective:
    constants = {"target_l0": 2.0, "bandwidth": 0.2, "slope": 3.0} | changes
    return Objective(sparsity, **constants)


def random_case(seed: int = 0, rows: int = 7, D: int = 5, F: int = 11) -> tuple[Weights, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    W_dec = draw(F, D)
    weights = Weights(
        W_enc=draw(D, F) / 2,
        b_enc=draw(F) / 10,
        W_dec=W_dec / W_dec.norm(dim=1, keepdim=True),
        b_dec=draw(D) / 10,
        threshold=draw(F).abs() / 3,
    )
    return weights, draw(rows, D)


def test_a_value_passes_only_above_its_threshold() -> None:
    """One row with h = (0.9, 0.9, 0.9): thresholds 1.0, 0.5, 0.25 block exactly the first."""
    weights = Weights(
        W_enc=torch.eye(3),
        b_enc=torch.zeros(3),
        W_dec=torch.eye(3),
        b_dec=torch.zeros(3),
        threshold=torch.tensor([1.0, 0.5, 0.25]),
    )
    result = dense_gradients(weights, torch.full((1, 3), 0.9), 0.0, objective())
    assert result.fired.tolist() == [False, True, True]
    assert result.figures.l0.item() == 2.0
    # Only the first coordinate is missed: |e|^2 = 0.9^2.
    assert result.figures.recon_loss.item() == pytest.approx(0.81)


def test_the_estimator_by_hand() -> None:
    """One row, one dimension, h = 0.95, threshold 1.0, window 0.2 wide, nothing fires.

    e = -0.95, dE/df = 2 e W_dec = -1.9, L0 = 0, J = 2 lambda (0 - 1) / L0_target = -3:
    dloss/dtheta = -(1 / 0.2) (1.0 * -1.9 + -3) = 24.5, and the encoder gets nothing.
    """
    one = torch.ones(1, 1)
    weights = Weights(one, torch.zeros(1), one, torch.zeros(1), torch.ones(1))
    result = dense_gradients(weights, torch.full((1, 1), 0.95), 3.0, objective())
    assert result.weights.threshold.item() == pytest.approx(24.5)
    assert result.weights.W_enc.item() == 0.0
    assert result.figures.sparsity_loss.item() == pytest.approx(3.0)


def test_outside_the_window_the_threshold_gets_nothing() -> None:
    one = torch.ones(1, 1)
    weights = Weights(one, torch.zeros(1), one, torch.zeros(1), torch.ones(1))
    for value in (0.89, 1.11):
        result = dense_gradients(weights, torch.full((1, 1), value), 3.0, objective())
        assert result.weights.threshold.item() == 0.0


@pytest.mark.parametrize("sparsity", MODES)
def test_dense_gradients_equal_the_numpy_reference(sparsity: str) -> None:
    weights, x = random_case()
    constants = objective(sparsity)
    result = dense_gradients(weights, x, 0.7, constants)
    expected = numpy_reference(
        {n: w.double().numpy() for n, w in weights._asdict().items()},
        x.double().numpy(),
        0.7,
        constants,
    )
    for name, gradient in result.weights._asdict().items():
        np.testing.assert_allclose(gradient.numpy(), expected[name], atol=2e-5, err_msg=name)
    for name, figure in result.figures._asdict().items():
        assert figure.item() == pytest.approx(expected[name], rel=1e-5), name


@pytest.mark.parametrize("sparsity", MODES)
def test_encoder_and_decoder_gradients_equal_autograd(sparsity: str) -> None:
    weights, x = random_case(seed=3, rows=16)
    constants = objective(sparsity)
    leaves = {n: w.clone().requires_grad_() for n, w in weights._asdict().items()}
    h = x @ leaves["W_enc"] + leaves["b_enc"]
    active = h > firing_thresholds(constants, weights, h.detach())
    acts = h * active
    error = acts @ leaves["W_dec"] + leaves["b_dec"] - x
    loss = error.square().sum() / 16
    l0 = active.float().sum() / 16
    loss = loss + 0.7 * penalty(constants, acts, l0, 16)
    loss.backward()
    result = dense_gradients(weights, x, 0.7, constants)
    for name in ("W_enc", "b_enc", "b_dec"):
        torch.testing.assert_close(getattr(result.weights, name), leaves[name].grad)
    gradient = leaves["W_dec"].grad
    assert gradient is not None
    torch.testing.assert_close(result.weights.W_dec, project(gradient, weights.W_dec))


def test_the_largest_of_a_batch_fire_wherever_they_are() -> None:
    """Two rows and three features, two a row asked: the four largest fire, three in one row."""
    one_by_one = Weights(
        W_enc=torch.eye(3),
        b_enc=torch.zeros(3),
        W_dec=torch.eye(3),
        b_dec=torch.zeros(3),
        threshold=torch.full((3,), 100.0),
    )
    x = torch.tensor([[5.0, 4.0, 3.0], [0.5, 2.0, 1.0]])
    result = dense_gradients(one_by_one, x, 0.0, objective("batchtopk"))
    assert result.cut is not None
    assert result.cut.item() == 1.0
    assert result.figures.l0.item() == 2.0
    # Missed are 0.5 and 1 in the second row.
    assert result.figures.recon_loss.item() == pytest.approx((0.25 + 1) / 2)
    assert result.weights.threshold.tolist() == [0.0, 0.0, 0.0]


def test_values_that_are_not_positive_never_fire() -> None:
    h = torch.tensor([[3.0, -1.0], [-2.0, -0.5]])
    assert batch_cut(h, 2).item() == 0.0


def test_the_decoder_gradient_does_not_change_lengths() -> None:
    weights, x = random_case(seed=5)
    gradient = dense_gradients(weights, x, 1.0, objective()).weights.W_dec
    along = (gradient * weights.W_dec).sum(dim=1)
    torch.testing.assert_close(along, torch.zeros_like(along), atol=1e-5, rtol=0)


def test_the_estimator_is_the_derivative_of_the_expected_loss() -> None:
    """Over many rows, the mean of the estimator is the slope of the mean loss in theta."""
    rows, theta, step = 400_000, 0.5, 0.02
    x = torch.randn(rows, 1, generator=torch.Generator().manual_seed(1))
    one = torch.ones(1, 1)

    def loss(threshold: float) -> float:
        weights = Weights(one, torch.zeros(1), one, torch.zeros(1), torch.tensor([threshold]))
        figures = dense_gradients(weights, x, 0.5, objective("tanh", bandwidth=0.05)).figures
        return (figures.recon_loss + figures.sparsity_loss).item()

    weights = Weights(one, torch.zeros(1), one, torch.zeros(1), torch.tensor([theta]))
    result = dense_gradients(weights, x, 0.5, objective("tanh", bandwidth=0.05))
    slope = (loss(theta + step) - loss(theta - step)) / (2 * step)
    # Density at 0.5 is 0.3521. Above the threshold e = 0, below it e = -h and dE/df = -2 h, so the
    # mean over the window is the whole jump of the error, theta^2.
    penalty_part = -0.5 * np.tanh(3 * theta) * 0.3521
    assert slope - penalty_part == pytest.approx(theta**2 * 0.3521, rel=0.1)
    assert result.weights.threshold.item() == pytest.approx(
        penalty_part + theta**2 * 0.3521, rel=0.1
    )


def numpy_reference(
    w: dict[str, NDArray[np.float64]], x: NDArray[np.float64], weight: float, constants: Objective
) -> dict[str, Any]:
    """Entry by entry, as the formulas of objective.py are written."""
    rows, F = x.shape[0], w["b_enc"].size
    out: dict[str, Any] = {name: np.zeros_like(value) for name, value in w.items()}
    h = x @ w["W_enc"] + w["b_enc"]
    if constants.sparsity == "batchtopk":
        w = w | {"threshold": np.full(F, np.sort(h, axis=None)[-round(rows * 2.0) - 1])}
    active = h > w["threshold"]
    if constants.sparsity == "topk":
        active = np.stack([row >= np.sort(row)[-round(constants.target_l0)] for row in h])
    f = np.where(active, h, 0.0)
    e = f @ w["W_dec"] + w["b_dec"] - x
    l0 = active.sum() / rows
    c, target = constants.slope, constants.target_l0
    values = {
        "target": (l0 / target - 1) ** 2,
        "l0": l0,
        "tanh": np.tanh(c * f).sum() / rows,
        "l1": f.sum() / rows,
        "batchtopk": 0.0,
        "topk": 0.0,
    }
    for b in range(rows):
        out["b_dec"] += 2 / rows * e[b]
        for j in range(F):
            slope = 2 / rows * e[b] @ w["W_dec"][j]
            jump = {
                "target": 2 * weight * (l0 / target - 1) / target / rows,
                "l0": weight / rows,
                "tanh": weight * np.tanh(c * w["threshold"][j]) / rows,
                "l1": 0.0,
                "batchtopk": 0.0,
                "topk": 0.0,
            }[constants.sparsity]
            inside = abs(h[b, j] - w["threshold"][j]) < constants.bandwidth / 2
            if inside and constants.sparsity not in {"l1", "batchtopk", "topk"}:
                gain = w["threshold"][j] * slope + jump
                out["threshold"][j] -= gain / constants.bandwidth
            if active[b, j]:
                if constants.sparsity == "tanh":
                    slope += weight / rows * c / np.cosh(c * f[b, j]) ** 2
                if constants.sparsity == "l1":
                    slope += weight / rows
                out["W_dec"][j] += 2 / rows * f[b, j] * e[b]
                out["W_enc"][:, j] += slope * x[b]
                out["b_enc"][j] += slope
    along = (out["W_dec"] * w["W_dec"]).sum(axis=1, keepdims=True)
    out["W_dec"] -= along * w["W_dec"]
    return out | {
        "recon_loss": (e**2).sum() / rows,
        "sparsity_loss": weight * values[constants.sparsity],
        "l0": l0,
    }
