"""The gradients over active entries against the dense ones."""

from __future__ import annotations

import pytest
import torch

from ghosttrack_cli.penalties import PENALTIES
from ghosttrack_cli.training.engines import cpu_sparse
from ghosttrack_cli.training.engines import entry_lists as at_entries
from ghosttrack_cli.training.engines.cpu_sparse import gradients
from ghosttrack_cli.training.engines.entry_lists import (
    Entries,
    Scratch,
    error_products,
    find_entries,
    mark_above,
)
from ghosttrack_cli.training.step.objective import Objective, Weights, dense_gradients

MODES = list(PENALTIES)


def case(
    rows: int = 37, D: int = 16, F: int = 200, level: float = 1.8
) -> tuple[Weights, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    W_dec = torch.randn(F, D, generator=generator)
    W_dec /= W_dec.norm(dim=1, keepdim=True)
    weights = Weights(
        W_enc=W_dec.T.clone(),
        b_enc=torch.randn(F, generator=generator) / 20,
        W_dec=W_dec,
        b_dec=torch.randn(D, generator=generator) / 20,
        threshold=level + torch.rand(F, generator=generator) / 5,
    )
    return weights, torch.randn(rows, D, generator=generator)


def objective(sparsity: str) -> Objective:
    return Objective(sparsity, target_l0=5.0, bandwidth=0.1, slope=2.0)


@pytest.mark.parametrize("sparsity", MODES)
@pytest.mark.parametrize("rows", [1, 37, 256])
def test_sparse_gradients_equal_dense_ones(sparsity: str, rows: int) -> None:
    weights, x = case(rows)
    entries = find_entries(weights, x, weights.threshold - 0.05, Scratch())
    assert entries is not None
    assert entries.h.numel() > 0
    found = gradients(weights, x, 0.3, objective(sparsity), Scratch())
    expected = dense_gradients(weights, x, 0.3, objective(sparsity))
    for name, gradient in found.weights._asdict().items():
        torch.testing.assert_close(
            gradient, getattr(expected.weights, name), atol=1e-5, rtol=1e-4, msg=name
        )
    for figure, value in zip(found.figures, expected.figures, strict=True):
        torch.testing.assert_close(figure, value)
    assert torch.equal(found.fired, expected.fired)


def test_entries_are_those_above_the_lower_edge_of_the_window() -> None:
    weights, x = case()
    entries = find_entries(weights, x, weights.threshold - 0.05, Scratch())
    assert entries is not None
    h = x @ weights.W_enc + weights.b_enc
    expected = (h > weights.threshold - 0.05).nonzero()
    assert torch.equal(torch.stack([entries.rows, entries.features], 1).long(), expected)
    torch.testing.assert_close(entries.h, h[expected[:, 0], expected[:, 1]])


@pytest.mark.parametrize("products", [torch.float32, torch.bfloat16])
def test_blocks_of_rows_find_the_same_entries(
    products: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, x = case()
    whole = find_entries(weights, x, weights.threshold - 0.05, Scratch(products))
    monkeypatch.setattr(at_entries, "BLOCK_ENTRIES", 5 * 200)
    blocks = find_entries(weights, x, weights.threshold - 0.05, Scratch(products))
    assert whole is not None
    assert blocks is not None
    for left, right in zip(whole, blocks, strict=True):
        torch.testing.assert_close(left, right)


def test_a_dense_batch_is_done_densely() -> None:
    weights, x = case(level=0.0)
    assert find_entries(weights, x, weights.threshold - 0.05, Scratch()) is None
    found = gradients(weights, x, 0.3, objective("target"), Scratch())
    expected = dense_gradients(weights, x, 0.3, objective("target"))
    torch.testing.assert_close(found.weights, expected.weights)


@pytest.mark.parametrize("sparsity", MODES)
@pytest.mark.parametrize("level", [0.0, 1.8])
def test_a_wide_batch_is_done_in_blocks(
    sparsity: str, level: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where entries are few, but more than are taken one by one."""
    weights, x = case(level=level)
    monkeypatch.setattr(cpu_sparse, "DENSE_ENTRIES", 5 * 200)
    monkeypatch.setattr(at_entries, "MAX_ENTRIES", 10)
    assert find_entries(weights, x, weights.threshold - 0.05, Scratch()) is None
    found = gradients(weights, x, 0.3, objective(sparsity), Scratch())
    expected = dense_gradients(weights, x, 0.3, objective(sparsity))
    for name, gradient in found.weights._asdict().items():
        torch.testing.assert_close(
            gradient, getattr(expected.weights, name), atol=1e-5, rtol=1e-4, msg=name
        )
    torch.testing.assert_close(found.figures, expected.figures)
    assert torch.equal(found.fired, expected.fired)


def test_a_batch_in_which_nothing_fires() -> None:
    weights, x = case(level=100.0)
    found = gradients(weights, x, 0.3, objective("target"), Scratch())
    expected = dense_gradients(weights, x, 0.3, objective("target"))
    torch.testing.assert_close(found.weights, expected.weights)
    assert found.figures.l0.item() == 0
    assert not found.fired.any()


@pytest.mark.parametrize("lowest", [-0.5, 0.1])
@pytest.mark.parametrize("products", [torch.float32, torch.bfloat16])
def test_marks_what_lies_above(products: torch.dtype, lowest: float) -> None:
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(50, 40, generator=generator).to(products)
    h[0, :4] = torch.tensor([0.0, -0.0, torch.inf, -torch.inf])
    lower = (lowest + torch.rand(40, generator=generator)).to(products).float()
    h[1] = lower.to(products)
    above = torch.empty(h.shape, dtype=torch.bool)
    mark_above(h, lower, above)
    assert torch.equal(above, h.float() > lower)


def test_an_edge_between_two_numbers_of_bfloat16_loses_no_entry() -> None:
    h = torch.linspace(0.01, 2, 300).bfloat16().repeat(20, 1)
    lower = torch.linspace(0.011, 1.9, 300)
    above = torch.empty(h.shape, dtype=torch.bool)
    mark_above(h, lower, above)
    assert above[h.float() > lower].all()
    assert not above[h.float() < lower * (1 - 2**-7)].any()


@pytest.mark.parametrize("level", [0.0, 1.8])
def test_bfloat16_products_give_nearly_the_same(level: float) -> None:
    """Dense and over entries: within the 8 bits of the products' factors."""
    weights, x = case(256, level=level)
    found = gradients(weights, x, 0.3, objective("target"), Scratch(torch.bfloat16))
    expected = dense_gradients(weights, x, 0.3, objective("target"))
    torch.testing.assert_close(found.figures, expected.figures, rtol=2e-2, atol=0.05)
    for name, gradient in found.weights._asdict().items():
        reference = getattr(expected.weights, name)
        cosine = torch.nn.functional.cosine_similarity(gradient.flatten(), reference.flatten(), 0)
        assert cosine > (0.95 if name == "threshold" else 0.99), name
    assert (found.fired == expected.fired).float().mean() > 0.97


@pytest.mark.parametrize("mkl", [False, at_entries.HAS_MKL])
@pytest.mark.parametrize("products", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows_a_block", [2, 100])
def test_products_at_entries(
    products: torch.dtype, rows_a_block: int, monkeypatch: pytest.MonkeyPatch, *, mkl: bool
) -> None:
    monkeypatch.setattr(at_entries, "HAS_MKL", mkl)
    monkeypatch.setattr(at_entries, "BLOCK_ENTRIES", 5 * rows_a_block)
    generator = torch.Generator().manual_seed(0)
    error = torch.randn(3, 4, generator=generator).to(products).float()
    W_dec = torch.randn(5, 4, generator=generator).to(products).float()
    entries = Entries(
        rows=torch.tensor([0, 0, 2], dtype=torch.int32),
        features=torch.tensor([1, 4, 0], dtype=torch.int32),
        starts=torch.tensor([0, 2, 2], dtype=torch.int32),
        h=torch.zeros(3),
    )
    expected = torch.stack([error[0] @ W_dec[1], error[0] @ W_dec[4], error[2] @ W_dec[0]])
    found = error_products(error, W_dec, entries, Scratch(products))
    rtol = 1e-5 if products == torch.float32 else 2**-8
    torch.testing.assert_close(found, expected, rtol=rtol, atol=1e-5)


def test_two_steps_give_the_same_bits() -> None:
    weights, x = case(256)
    first = gradients(weights, x, 0.3, objective("target"), Scratch())
    second = gradients(weights, x, 0.3, objective("target"), Scratch())
    for left, right in zip(first.weights, second.weights, strict=True):
        assert torch.equal(left, right)
