"""Stores of made-up rows: one layer of bfloat16, without a model or text."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np

from ghosttrack_cli.store.format.identity import StoreIdentity
from ghosttrack_cli.store.write.writer import StoreWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

LAYER = 6
BLOCK_ROWS = 8192
DOCUMENT_ROWS = 512
CONTEXT = 1024


def write_store(path: Path, rows: int, blocks: Iterable[Rows]) -> None:
    """Write blocks (n, D), `rows` in all, as the one layer of a store."""
    blocks = iter(blocks)
    first = next(blocks)
    identity = StoreIdentity(
        "made up",
        None,
        "",
        "",
        (50256,),
        {"source": "made up"},
        CONTEXT,
        8,
        d_model=first.shape[1],
        dtype="bfloat16",
    )
    written = 0
    with StoreWriter.open(path, identity, [LAYER], asked_rows=rows) as writer:
        for x in itertools.chain([first], blocks):
            numbers = np.arange(written, written + len(x))
            writer.append(
                {LAYER: x.astype(ml_dtypes.bfloat16)},
                token_ids=np.zeros(len(x), np.int32),
                doc_ids=(numbers // DOCUMENT_ROWS).astype(np.int64),
                positions=(numbers % CONTEXT).astype(np.int32),
                cursor={"row": written},
            )
            written += len(x)
        writer.seal(complete=True, cursor={"row": rows})


def random_rows(rows: int, d_model: int) -> Iterator[Rows]:
    """Blocks of normal rows (n, D) with a mean."""
    random = np.random.default_rng(0)
    offset = random.standard_normal(d_model).astype(np.float32)
    for start in range(0, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - start)
        yield random.standard_normal((count, d_model), dtype=np.float32) + offset
