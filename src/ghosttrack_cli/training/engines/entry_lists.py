"""The entries of a batch that matter: found by the encoder, and what is computed at them.

B batch, D d_model, F d_hidden, K entries: (row, feature) pairs whose h lies above the lower edge
of the estimator's window. Products of all rows with all features are made in blocks of rows, in
float32, or in bfloat16 where the processor has units for it: there the derivative to the
activations is read out of a dense product too, which takes less time than its entries.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn.functional import embedding_bag

from ghosttrack_cli.sae.firing import after_largest, fires

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ghosttrack_cli.training.step.objective import Weights

HAS_MKL = bool(torch.backends.mkl.is_available())  # type: ignore[no-untyped-call]
SPARSE_SHARE = 0.1
BLOCK_ENTRIES = 2**25
"""Of (rows, features) that are computed at a time."""
MAX_ENTRIES = 2**23
"""That are taken one by one: each costs ENTRY_BYTES, and where F is large so many gain no time."""
ENTRY_BYTES = 44


class Entries(NamedTuple):
    """The entries of a batch, row by row."""

    rows: Tensor  # (K,) int32
    features: Tensor  # (K,) int32
    starts: Tensor  # (B,) int32: where each row's entries begin
    h: Tensor  # (K,) float32
    cut: Tensor | None = None  # () the mean of what they had to exceed in their rows


@dataclass
class Scratch:
    """Large buffers that every step uses again: fresh memory costs more than the work in it.

    `products` is the dtype of products of all rows with all features.
    """

    products: torch.dtype = torch.float32
    h: Tensor = field(default_factory=lambda: torch.empty(0))
    above: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))

    def sized(self, rows: int, d_hidden: int) -> tuple[Tensor, Tensor]:
        """Both buffers as (rows, F); `h` in the dtype of the products, whatever its memory is."""
        if self.h.shape[1:] != (d_hidden,) or len(self.h) < rows:
            self.h = torch.empty(rows, d_hidden)
            self.above = torch.empty(rows, d_hidden, dtype=torch.bool)
        h = self.h.view(-1).view(self.products)[: rows * d_hidden].view(rows, d_hidden)
        return h, self.above[:rows]


def find_entries(weights: Weights, x: Tensor, lower: Tensor, scratch: Scratch) -> Entries | None:
    """The entries of a batch, or None where more than a tenth of all, or very many, are among them.

    The encoder runs in blocks of rows, so that wide SAEs need no (B, F) memory.
    """
    B, F = len(x), weights.b_enc.numel()
    W_enc, b_enc = weights.W_enc.to(scratch.products), weights.b_enc.to(scratch.products)
    x, block = x.to(scratch.products), rows_at_once(x, F)
    places: list[NDArray[np.int64]] = []
    values: list[Tensor] = []
    room = min(int(SPARSE_SHARE * B * F), MAX_ENTRIES)
    for start in range(0, B, block):
        part = x[start : start + block]
        h, above = scratch.sized(len(part), F)
        torch.addmm(b_enc, part, W_enc, out=h)
        mark_above(h, lower, above)
        flat = above.view(-1).numpy()
        room -= int(np.count_nonzero(flat))
        if room < 0:
            return None
        found = np.flatnonzero(flat)
        values.append(h.view(-1)[torch.from_numpy(found)].float())
        places.append(found + start * F)
    place = torch.from_numpy(np.concatenate(places))  # (K,)
    rows = place // F
    return Entries(
        rows=rows.int(),
        features=(place - rows * F).int(),
        starts=torch.searchsorted(place, torch.arange(0, B * F, F)).int(),
        h=torch.cat(values),
    )


def find_largest(weights: Weights, x: Tensor, k: int, scratch: Scratch) -> Entries | None:
    """The `k` largest positive entries of each row, or None where those are a tenth of all.

    They are found in float32, in which hardly any two are equal.
    """
    B, F = len(x), weights.b_enc.numel()
    if B * k > min(int(SPARSE_SHARE * B * F), MAX_ENTRIES):
        return None
    block = rows_at_once(x, F)
    features, values, cuts = [], [], []
    for start in range(0, B, block):
        part = x[start : start + block]
        h, _ = scratch.sized(len(part), F)
        torch.addmm(weights.b_enc, part, weights.W_enc, out=h)
        best = h.topk(k + 1, dim=1, sorted=False)
        cut = after_largest(best.values, k)  # (b, 1)
        order = best.indices.argsort(dim=1)
        features.append(best.indices.gather(1, order))
        values.append(best.values.gather(1, order))
        cuts.append(cut)
    found, cut = torch.cat(values), torch.cat(cuts)  # (B, k + 1), (B, 1)
    firing = fires(found, cut)
    counts = firing.sum(dim=1)  # (B,)
    return Entries(
        rows=torch.arange(B, dtype=torch.int32).repeat_interleave(counts),
        features=torch.cat(features)[firing].int(),
        starts=(counts.cumsum(0) - counts).int(),
        h=found[firing],
        cut=cut.mean(),
    )


def mark_above(h: Tensor, lower: Tensor, above: Tensor) -> None:
    """Set `above` (rows, F) to where `h` (rows, F) lies above `lower` (F,).

    In one thread numpy takes half the time that torch does in two. It does not know bfloat16, but
    against numbers that are not negative the bits compare like the values; `lower` is rounded down.
    """
    if h.dtype == torch.float32:
        np.greater(h.numpy(), lower.numpy(), out=above.numpy())
    elif bool((lower >= 0).all()):
        edge = (lower.view(torch.int32) >> 16).to(torch.int16)
        np.greater(h.view(torch.int16).numpy(), edge.numpy(), out=above.numpy())
    else:
        torch.gt(h, lower.to(h.dtype), out=above)


def rows_at_once(x: Tensor, d_hidden: int) -> int:
    """Rows whose entries are computed at a time."""
    return max(1, min(len(x), BLOCK_ENTRIES // d_hidden))


def bags(indices: Tensor, table: Tensor, starts: Tensor, values: Tensor) -> Tensor:
    """Sums of table rows (n, D), weighted by `values`, one for each run of `indices`: (bags, D)."""
    return embedding_bag(indices, table, starts, mode="sum", per_sample_weights=values)


def error_products(error: Tensor, W_dec: Tensor, entries: Entries, scratch: Scratch) -> Tensor:
    """The product of error row (B, D) and decoder row (F, D) at each entry, (K,)."""
    if scratch.products != torch.float32:
        return _products_from_dense(error, W_dec, entries, scratch)
    products = _products_by_mkl if HAS_MKL else _products_by_autograd
    return products(error, W_dec, entries)


def _products_from_dense(
    error: Tensor, W_dec: Tensor, entries: Entries, scratch: Scratch
) -> Tensor:
    F, block = len(W_dec), rows_at_once(error, len(W_dec))
    error, W_dec = error.to(scratch.products), W_dec.to(scratch.products)
    bounds = [*entries.starts[::block].tolist(), entries.h.numel()]
    products = torch.empty_like(entries.h)
    for start, (first, last) in zip(range(0, len(error), block), pairwise(bounds), strict=True):
        part = error[start : start + block]
        dense, _ = scratch.sized(len(part), F)
        torch.mm(part, W_dec.T, out=dense)
        here = slice(first, last)
        places = (entries.rows[here].long() - start) * F + entries.features[here]
        products[here] = dense.view(-1)[places]
    return products


def _products_by_mkl(error: Tensor, W_dec: Tensor, entries: Entries) -> Tensor:
    ends = torch.tensor([entries.h.numel()], dtype=torch.int32)
    pattern = torch.sparse_csr_tensor(
        torch.cat([entries.starts, ends]),
        entries.features,
        torch.zeros_like(entries.h),
        (len(error), len(W_dec)),
        check_invariants=False,
    )
    products: Tensor = torch.sparse.sampled_addmm(pattern, error, W_dec.T, beta=0.0)
    return products.values()


def _hear_that_sparse_is_beta() -> None:
    """Take the warning that torch gives once a process; filters are not for several threads."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Ss]parse (CSR|inv).*", category=UserWarning)
        torch.eye(1).to_sparse_csr()


if HAS_MKL:
    _hear_that_sparse_is_beta()


def _products_by_autograd(error: Tensor, W_dec: Tensor, entries: Entries) -> Tensor:
    """The same without MKL: the derivative of a weighted bag to its weights, at half the speed."""
    values = torch.zeros_like(entries.h, requires_grad=True)
    with torch.enable_grad():
        sums = bags(entries.features, W_dec, entries.starts, values)
        (products,) = torch.autograd.grad(sums, values, error)
    return products


def by_feature(features: Tensor, active: Tensor) -> Tensor:
    """Positions of the active entries ordered by feature, rows in order within one, (A,)."""
    narrow = features.numpy()
    if narrow.max(initial=0) < 2**16:
        narrow = narrow.astype(np.uint16)  # numpy sorts 16 bits by radix
    order = np.argsort(narrow, kind="stable")
    return torch.from_numpy(order[active.numpy()[order]])


def feature_sums(entries: Entries, values: Tensor, weights: Weights) -> Tensor:
    """The sum of `values` (K,) for each feature, (F,), in float64 one after the other."""
    sums = np.bincount(
        entries.features.numpy(), weights=values.numpy(), minlength=weights.b_enc.numel()
    )
    return torch.from_numpy(sums).float()
