"""Forward pass, copy to the host and writing at the same time, in memory that does not grow.

The caller has the model run. `HostCopies` brings residual streams to the host, on a CUDA device
through a ring of pinned buffers on a stream of its own. `WriteBehind` hands them to the writer in
a thread; `WriteNow` does without one where the model's own passes run in threads already, on a CPU.
All of them block the caller when the disk is behind.

Shapes: N rows of a batch, D d_model.
"""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

import torch

from ghosttrack_cli.machine.behind import WorkBehind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from ghosttrack_cli.site import AnySite

QUEUE_DEPTH = 2
"""Batches that wait for the writer; one more is with it and one on its way from the device."""


def _nothing() -> None:
    return


@dataclass(frozen=True)
class HostRows:
    """A batch's residual streams on their way to the host.

    `rows` maps a layer to (N, D) in the store's dtype, valid between `wait()` and `release()`.
    """

    rows: Mapping[AnySite, Tensor]
    wait: Callable[[], None] = _nothing
    release: Callable[[], None] = _nothing


class HostCopies(Protocol):
    """Brings (B, T, D) streams of a device to (N, D) rows of the host."""

    def copy(self, streams: Mapping[AnySite, Tensor]) -> HostRows:
        """Start the copy; waits for a free buffer where buffers are limited."""
        ...


def host_copies(
    device: torch.device, dtype: torch.dtype, layers: Sequence[AnySite], rows: int, d_model: int
) -> HostCopies:
    """The fastest way from `device` to the host, for batches of at most `rows` rows."""
    if device.type == "cuda":
        return PinnedRing(device, dtype, layers, rows, d_model)
    return PlainCopies(dtype)


class PlainCopies:
    """On the CPU the streams are there already; elsewhere one blocking copy."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def copy(self, streams: Mapping[AnySite, Tensor]) -> HostRows:
        """Reshape, and convert where the store keeps another dtype."""
        return HostRows(
            {
                layer: stream.flatten(0, 1).to("cpu", self._dtype)
                for layer, stream in streams.items()
            }
        )


class PinnedRing:
    """Pinned buffers that a CUDA stream of its own fills while the next batch computes."""

    def __init__(
        self,
        device: torch.device,
        dtype: torch.dtype,
        layers: Sequence[AnySite],
        rows: int,
        d_model: int,
    ) -> None:
        self._dtype = dtype
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._free: queue.Queue[dict[AnySite, Tensor]] = queue.Queue()
        for _ in range(QUEUE_DEPTH + 2):
            self._free.put(
                {
                    layer: torch.empty(rows, d_model, dtype=dtype, pin_memory=True)
                    for layer in layers
                }
            )

    def copy(self, streams: Mapping[AnySite, Tensor]) -> HostRows:
        """Queue the copies behind the forward pass, without waiting for either."""
        slot = self._free.get()
        rows = {}
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            for layer, stream in streams.items():
                rows[layer] = slot[layer][: stream.shape[0] * stream.shape[1]]
                rows[layer].copy_(stream.flatten(0, 1).to(self._dtype), non_blocking=True)
                # Its memory must not be given to the next batch before this copy has read it.
                stream.record_stream(self._stream)
            done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            done.record(self._stream)
        return HostRows(rows, done.synchronize, lambda: self._free.put(slot))


Item = TypeVar("Item")


class WriteBehind(WorkBehind[Item]):
    """A thread that calls `write` on each item in order, with at most `QUEUE_DEPTH` waiting."""

    def __init__(self, write: Callable[[Item], None], discard: Callable[[Item], None]) -> None:
        super().__init__(write, discard, most=QUEUE_DEPTH + 1, name="write-behind")


class WriteNow(Generic[Item]):
    """The same interface without a thread: the caller writes while the model's threads compute.

    The writer leaves to threads of its own only what waits for the disk.
    """

    def __init__(self, write: Callable[[Item], None]) -> None:
        self._write = write

    def put(self, item: Item) -> None:
        """Write `item`."""
        self._write(item)

    def drain(self) -> None:
        """Nothing waits."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return
