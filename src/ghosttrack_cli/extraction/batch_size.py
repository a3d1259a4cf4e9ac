"""How many windows go through the model at once: found once, then frozen with the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ghosttrack_cli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.site import AnySite

CPU_TOKENS = 2048
"""More tokens a pass leave the cache and are no faster on a CPU."""
ACCELERATOR_TOKENS = 32_768
MAX_STREAM_BYTES = 2**29
"""Of one batch's residual streams together: three of these wait for the disk at most."""


def first_guess(model: ResidualModel, layers: Sequence[AnySite], context: int) -> int:
    """The batch size to try first: a pure function of model, layers, context and kind of device."""
    if model.device.type == "cpu":
        return max(1, CPU_TOKENS // context)
    window_bytes = len(layers) * context * model.d_model * model.dtype.itemsize
    windows = min(ACCELERATOR_TOKENS // context, MAX_STREAM_BYTES // window_bytes)
    return 1 << max(0, windows.bit_length() - 1)


def probe(
    model: ResidualModel, layers: Sequence[AnySite], context: int, start: int, monitor: Monitor
) -> int:
    """The first of start, start/2, start/4 and so on that fits into the device's memory.

    Raises:
        ModelError: one window does not fit.
    """
    size = start
    while True:
        try:
            model.residuals(torch.zeros(size, context, dtype=torch.int64), layers)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            size = halved(size, monitor)
        else:
            return size
        finally:
            release_memory(model.device)


def halved(size: int, monitor: Monitor) -> int:
    """Half the batch size after one that did not fit."""
    if size == 1:
        raise ModelError(
            "out of memory: one window does not fit in memory",
            hint="use a shorter --context-length, --device cpu, or --dtype bfloat16",
        )
    monitor.notice(f"out of memory with {size} windows per batch: trying {size // 2}")
    return size // 2


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is a lack of memory, on a GPU or in the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return "can't allocate memory" in text or "out of memory" in text


def release_memory(device: torch.device) -> None:
    """Give the memory of a failed or finished trial back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
