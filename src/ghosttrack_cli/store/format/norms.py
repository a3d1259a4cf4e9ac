"""Norms of rows, the same bits for a row however many rows come with it, and sums of rows.

D d_model, N rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.store.format.statistics import BIN_SHIFT, NormSums

if TYPE_CHECKING:
    from ghosttrack_cli.store.format.dtypes import Array

BLOCK_BYTES = 2**18


def square_norms(rows: Array) -> Array:
    """The squared norm of each row, float64 (N,), of rows (N, D) in any float dtype.

    Squares are summed in float32, where they fit, because that is four times faster; a row with a
    NaN or an infinity gives one.
    """
    block = _block(rows)
    squares = np.empty(len(rows), np.float64)  # (N,)
    for start in range(0, len(rows), block):
        values = rows[start : start + block].astype(np.float32, copy=False)  # (n, D)
        squares[start : start + block] = np.einsum("nd,nd->n", values, values)
    large = np.flatnonzero(~np.isfinite(squares))
    if len(large):
        values = rows[large].astype(np.float64)
        squares[large] = np.einsum("nd,nd->n", values, values)
    return squares


def column_sums(rows: Array, keep: Array) -> Array:
    """The sum, float64 (D,), of the rows (N, D) in any float dtype for which `keep` (N,) holds."""
    block = _block(rows)
    total = np.zeros(rows.shape[1])  # (D,)
    for start in range(0, len(rows), block):
        place = slice(start, start + block)
        total += rows[place][keep[place]].astype(np.float64).sum(axis=0)
    return total


def _block(rows: Array) -> int:
    """How many rows at a time stay in the processor's cache."""
    return max(1, BLOCK_BYTES // (4 * int(rows.shape[1])))


def norms_of(squares: Array) -> Array:
    """Norms, float32 (N,), of squared norms, float64 (N,)."""
    norms: Array = np.sqrt(squares).astype(np.float32)
    return norms


def norm_sums(squares: Array) -> NormSums:
    """Sums and histogram of squared norms, float64 (N,), all finite."""
    if not len(squares):
        return NormSums()
    norms = norms_of(squares)  # (N,)
    bins, counts = np.unique(norms.view(np.uint32) >> BIN_SHIFT, return_counts=True)
    histogram = dict(zip(bins.tolist(), counts.tolist(), strict=True))
    return NormSums(len(squares), float(squares.sum()), float(norms.max()), histogram)
