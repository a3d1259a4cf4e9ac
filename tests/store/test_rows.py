"""The mask, the split by document, and the shuffled orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ghosttrack_cli.splitmix64 import splitmix64
from ghosttrack_cli.store.read.order import fold_keys, permutation
from ghosttrack_cli.store.read.row_order import row_mask, split_documents, split_rows

if TYPE_CHECKING:
    from ghosttrack_cli.store.format.dtypes import Array


def test_each_row_is_left_out_for_its_first_reason() -> None:
    positions = np.array([0, 1, 2, 3, 0, 1])
    tokens = np.array([9, 5, 9, 5, 5, 5])
    norms = np.array([1.0, 1.0, 99.0, 6.0, 99.0, 6.1])
    keep, report = row_mask(positions, tokens, [9], norms, 1.0)
    assert keep.tolist() == [False, True, False, True, False, False]
    assert (report.rows, report.position_0, report.special, report.outlier, report.kept) == (
        6,
        2,
        1,
        1,
        2,
    )


def test_no_special_tokens_is_fine() -> None:
    keep, _ = row_mask(np.array([1]), np.array([3]), (), np.array([1.0]), 1.0)
    assert keep.all()


def test_whole_documents_are_split_and_stay_on_their_side() -> None:
    documents = np.repeat(np.arange(20_000), 3)
    validation = split_documents(documents, 0.05)
    assert validation.reshape(-1, 3).std(axis=1).max() == 0
    assert 0.045 < validation.mean() < 0.055
    assert np.array_equal(split_documents(documents[:999], 0.05), validation[:999])
    assert not np.array_equal(split_documents(documents, 0.05, seed=1), validation)
    assert not split_documents(documents, 0.0).any()


def test_splitmix64_is_the_published_generator() -> None:
    # First outputs of the reference implementation from state 1234567.
    gamma = 0x9E3779B97F4A7C15
    states = [(1234567 + step * gamma) % 2**64 for step in range(3)]
    assert splitmix64(np.array(states, np.uint64)).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


@given(st.integers(0, 300), st.integers(0, 2**64 - 1), st.integers(0, 50))
def test_permutations_are_permutations_and_repeatable(n: int, seed: int, epoch: int) -> None:
    order = permutation(n, seed, epoch)
    assert sorted(order.tolist()) == list(range(n))
    assert np.array_equal(order, permutation(n, seed, epoch))


def test_the_order_is_the_same_on_every_machine() -> None:
    assert permutation(8, 0, 0).tolist() == [6, 4, 1, 3, 7, 0, 2, 5]


def test_a_large_order_is_that_of_different_keys() -> None:
    """Sorted by vector instructions or not, there is one order alone."""
    with np.errstate(over="ignore"):
        keys = splitmix64(fold_keys(3, 4) + np.arange(100_000, dtype=np.uint64))
    assert len(np.unique(keys)) == len(keys)
    assert np.array_equal(permutation(100_000, 3, 4), np.argsort(keys, kind="stable"))


def windows(rows: int, length: int = 8) -> tuple[Array, Array]:
    """Positions in windows, and rows that count."""
    positions = np.arange(rows) % length
    return positions, positions != 0


@given(st.integers(2, 6), st.integers(0, 2**63 - 1), st.floats(0.001, 0.999), st.integers(20, 200))
def test_few_documents_are_on_both_sides_with_every_seed(
    documents: int, seed: int, val_fraction: float, rows: int
) -> None:
    doc_ids = np.arange(rows) * documents // rows
    positions, counted = windows(rows)
    split = split_rows(doc_ids, positions, counted, val_fraction, seed)
    assert split.unit == "documents"
    assert 0 < split.held_out < split.parts == documents
    assert not set(doc_ids[split.validation]) & set(doc_ids[~split.validation])
    plain = split_documents(doc_ids, val_fraction, seed)
    if plain[counted].any() and not plain[counted].all():
        assert np.array_equal(split.validation, plain)


@given(st.integers(0, 2**63 - 1), st.floats(0.001, 0.999), st.integers(2, 90))
def test_of_one_document_blocks_of_windows_are_held_out(
    seed: int, val_fraction: float, count: int
) -> None:
    positions, counted = windows(8 * count)
    split = split_rows(np.zeros(8 * count, np.int64), positions, counted, val_fraction, seed)
    assert split.unit == "blocks of windows"
    assert 0 < split.held_out < split.parts == min(20, count)
    whole = split.validation.reshape(count, 8)
    assert (whole.all(axis=1) | ~whole.any(axis=1)).all()  # no window is on both sides


def test_a_document_without_rows_that_count_is_no_side() -> None:
    positions, counted = windows(64)
    doc_ids = np.repeat([0, 1], [56, 8])
    counted[56:] = False
    split = split_rows(doc_ids, positions, counted, 0.5, 0)
    assert split.unit == "blocks of windows"
    assert split.validation[counted].any()
    assert not split.validation[counted].all()
