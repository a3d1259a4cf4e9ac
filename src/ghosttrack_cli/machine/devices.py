"""The process around a stage: clock, signals, device, dtype, seeds."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.machine import ahead

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ThreadPoolExecutor

    import torch

DEVICES = ("cuda", "mps", "cpu")
"""Kinds of devices, the one that "auto" prefers first."""
DEVICE_HINT = "--device auto, cpu, cuda, cuda:0 or mps"
DTYPES = ("float32", "float16", "bfloat16")


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads in each thread that calls it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def torch_pool(count: int, threads: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """So many workers in each of which torch uses `threads` threads, which the caller does too."""
    import torch

    # A thread obeys the number of threads once it has asked for it.
    with torch_threads(threads), ahead.workers(count, name, torch.get_num_threads) as pool:
        yield pool


def resolve_device(name: str) -> torch.device:
    """The torch device for a setting: "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        UsageError: a device of another kind, or one that is not there; no other stands in for it.
    """
    import torch

    if name == "auto":
        return torch.device(next(kind for kind in DEVICES if _devices_of(kind)))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device: no such device: {name!r}", hint=DEVICE_HINT) from error
    if device.type not in DEVICES:
        raise UsageError(f"device: not supported: {name!r}", hint=DEVICE_HINT)
    count = _devices_of(device.type)
    if not 0 <= (device.index or 0) < count:
        kind = device.type.upper()
        raise UsageError(
            f"device: {name!r} requested, but torch {torch.__version__} sees {count} {kind} "
            "devices",
            hint="--device auto or cpu",
        )
    return device


def _devices_of(kind: str) -> int:
    """How many devices of a kind torch can use here."""
    import torch

    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return 1 if kind == "cpu" else int(torch.backends.mps.is_available())


def dtype_name(dtype: torch.dtype) -> str:
    """A dtype as people and files say it: float32."""
    return str(dtype).removeprefix("torch.")


def has_bfloat16_units() -> bool:
    """Whether the processor multiplies bfloat16 matrices several times as fast as float32 ones.

    That is Intel's AMX, which torch uses and, since 2.10, tells of.
    """
    import torch

    ask = getattr(torch.cpu, "get_capabilities", None)
    return ask is not None and bool(ask().get("amx_bf16", False))


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype a model computes in: "auto" is bfloat16 on CUDA and float32 elsewhere."""
    import torch

    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise UsageError(f"dtype: {name!r} is not one of auto, {', '.join(DTYPES)}")
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)
    return dtype
