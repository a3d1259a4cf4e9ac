"""The memory that training takes at its peak, from shapes alone.

B batch, D d_model, F d_hidden. The terms were measured (`python benchmarks/memory.py`); what is
less than a few megabytes at any shape is left out.

On the CPU, beside what the process has before, the larger of two moments counts. When a checkpoint
is read, its bytes and its tensors are there at once: two states. Later there are one state, the
encoder's buffers, the rows with their order, and either a step or an evaluation:

    a step         the gradients, and temporaries of the entries that are taken one by one, or of a
                   block of rows that is done densely (the first steps, in which most features fire)
    an evaluation  the folded SAE, and the activations of a block of rows with what is made of them

Writing a checkpoint or an SAE copies one matrix at a time, folding works in parts: both take less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ghosttrack_cli.store.read.blocks import BLOCKS_HELD
from ghosttrack_cli.training.engines import cpu_sparse
from ghosttrack_cli.training.engines.entry_lists import (
    BLOCK_ENTRIES,
    ENTRY_BYTES,
    MAX_ENTRIES,
    SPARSE_SHARE,
)
from ghosttrack_cli.training.measure import evaluate
from ghosttrack_cli.training.rows.layer_rows import block_rows
from ghosttrack_cli.training.step.state import state_bytes

if TYPE_CHECKING:
    from ghosttrack_cli.store.read.reader import ActivationStore

SCRATCH_BYTES = 4 + 1
"""h and whether it lies above the window's edge, for each entry of an encoder's block."""
DENSE_BYTES = 18
"""For each entry of `dense_gradients` beside h: acts, slopes twice, two masks, one temporary."""
BLOCKWISE_BYTES = 14
"""For each entry of a block of `blockwise_gradients` beside h, always in float32."""
ROUNDED_ENTRY_BYTES = 40
"""For each entry that is taken one by one where products are in bfloat16: no sparse product."""
ROUNDED_BYTES = 6
"""More where products are in bfloat16: h anew; activations, slopes and matrices in that dtype."""
EVALUATED_BYTES = 11
"""For each entry of a calibration, more than of an evaluation: h, h / theta and three masks."""
KEPT_BYTES = 2**25
"""Freed memory that the C library keeps and steps cannot use: 0 to 100 MB were seen."""
EAGER_MATRICES = 12
"""(F, D) in float32 at the peak of an update that is not compiled, beside the gradients."""
ORDER_BYTES = 48
"""For each row of a block: 8 of its order in use, 40 at the peak of working out the next one."""
BATCH_COPIES = 4
"""A batch in float32: as stored, scaled, reconstructed, and one temporary."""


def host_bytes(
    d_model: int,
    d_hidden: int,
    batch_size: int,
    evaluated_rows: int,
    stored_bytes: int,
    products: torch.dtype,
) -> int:
    """Bytes on the CPU beside what the process has before; `stored_bytes` are those of the rows."""
    state = state_bytes(d_model, d_hidden)
    entries = batch_size * d_hidden
    scratch = SCRATCH_BYTES * min(entries, max(d_hidden, BLOCK_ENTRIES))
    step = max(
        _dense_bytes(entries, products) * min(entries, max(d_hidden, cpu_sparse.DENSE_ENTRIES)),
        (ENTRY_BYTES if products == torch.float32 else ROUNDED_ENTRY_BYTES)
        * int(min(SPARSE_SHARE * entries, MAX_ENTRIES)),
    )
    evaluated = min(evaluated_rows, evaluate.block_rows(d_hidden, torch.device("cpu"))) * d_hidden
    weights = state // 3
    batch = BATCH_COPIES * 4 * batch_size * d_model
    working = weights + scratch + batch + max(step, EVALUATED_BYTES * evaluated) + KEPT_BYTES
    return stored_bytes + max(2 * state, state + working)


def _dense_bytes(entries: int, products: torch.dtype) -> int:
    """For each entry of a batch, or of a block of it, that is done densely."""
    if entries > cpu_sparse.DENSE_ENTRIES:
        return BLOCKWISE_BYTES
    return DENSE_BYTES + (0 if products == torch.float32 else ROUNDED_BYTES)


def device_bytes(
    d_model: int, d_hidden: int, batch_size: int, stored_bytes: int, *, compiled: bool
) -> int:
    """Bytes on a CUDA device: everything is dense there. Not measured yet.

    Beside state and gradients there is one matrix more, the new W_dec, or its movement; where steps
    are not compiled there are all the new weights and moments and what they are made of.
    """
    state = state_bytes(d_model, d_hidden)
    entries = batch_size * d_hidden * (4 + DENSE_BYTES)
    weights = state // 3 + 4 * d_hidden * d_model * (1 if compiled else EAGER_MATRICES)
    batch = BATCH_COPIES * 4 * batch_size * d_model
    return state + weights + entries + batch + stored_bytes


def order_bytes(store: ActivationStore) -> int:
    """Bytes of the order of the block in use, and of working out the next one."""
    return ORDER_BYTES * min(store.rows, block_rows(store))


def stored_bytes(store: ActivationStore, evaluation_rows: int, *, resident: bool) -> int:
    """Bytes of rows that are kept: a layer's, or the blocks in use and ahead; and held-out ones.

    On a CUDA device fewer blocks are held than on its host.
    """
    rows = store.rows if resident else min(store.rows, BLOCKS_HELD * block_rows(store))
    return (rows + min(store.rows, evaluation_rows)) * store.identity.row_bytes
