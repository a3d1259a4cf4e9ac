"""Which rows training and evaluation see: the mask, and the split by document. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.store.order import splitmix64

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ghosttrack_cli.store.dtypes import Array

OUTLIER_FACTOR = 6.0


@dataclass(frozen=True)
class MaskReport:
    """How many rows the mask leaves out; each row is counted under the first reason that holds."""

    rows: int
    position_0: int
    special: int
    outlier: int
    kept: int


def row_mask(
    positions: Array,
    token_ids: Array,
    special_token_ids: Iterable[int],
    norms: Array,
    median_norm: float,
    *,
    outlier_factor: float = OUTLIER_FACTOR,
) -> tuple[Array, MaskReport]:
    """Rows to keep, bool (rows,), and what was left out.

    Left out are position 0, special tokens, and rows whose norm is above `outlier_factor` times
    the layer's median: in a real model 0.04 % of the rows carried 77 % of the energy.
    """
    first = positions == 0
    special = np.isin(token_ids, np.fromiter(special_token_ids, np.int64)) & ~first
    outlier = (norms > outlier_factor * median_norm) & ~first & ~special
    keep = ~(first | special | outlier)
    report = MaskReport(
        len(keep), int(first.sum()), int(special.sum()), int(outlier.sum()), int(keep.sum())
    )
    return keep, report


def split_documents(doc_ids: Array, val_fraction: float, seed: int = 0) -> Array:
    """Rows of validation documents, bool (rows,): about `val_fraction` of all documents.

    A document's side depends on its id and the seed alone, so that it never changes as the store
    grows, and no document is on both sides.
    """
    hashes = splitmix64(splitmix64(doc_ids.astype(np.uint64)) ^ splitmix64(np.uint64(seed)))
    validation: Array = (hashes >> np.uint64(11)) < np.uint64(round(val_fraction * 2**53))
    return validation
