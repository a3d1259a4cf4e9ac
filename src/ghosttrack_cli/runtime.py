"""The process around a stage: clock, signals, device, dtype, seeds."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import Stopped, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import ThreadPoolExecutor
    from types import FrameType

    import torch

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
DEVICES = ("cuda", "mps", "cpu")
"""Kinds of devices, the one that "auto" prefers first."""
DEVICE_HINT = "--device auto, cpu, cuda, cuda:0 or mps"
DTYPES = ("float32", "float16", "bfloat16")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # names and values of <malloc.h>
TYPICAL_PROCESS_BYTES = 2**28
MEMORY_FIGURES, AVAILABLE = Path("/proc/meminfo"), "MemAvailable:"
PROCESS_GROUPS, CONTROL_GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
LARGEST_TENSOR, LARGEST_IN_OLD_GLIBC, KEPT_BYTES = 2**30, 2**25, 2**31 - 1


def monotonic() -> float:
    """Seconds on a clock that never jumps: the only one that decides anything."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait; here so that tests can replace it together with the clock."""
    time.sleep(seconds)


def utc_now() -> str:
    """The wall clock as ISO 8601, for people to read; nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], int | None]]:
    """Give a function that tells which signal asked to stop; a second signal quits at once.

    The first SIGINT, SIGTERM or SIGUSR1 is only noted, so that the stage can finish its step and
    commit. The handlers that were there before come back at the end.
    """
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)

    previous = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def raise_if_stopped(stop_signal: Callable[[], int | None]) -> None:
    """Raise Stopped when a signal came; call it only where everything is committed."""
    number = stop_signal()
    if number is not None:
        raise Stopped(number)


def keep_freed_memory() -> None:
    """Let the C library use freed memory again instead of giving it back to the system.

    A pass through a model frees and allocates the same large tensors at every step. glibc returns
    them to the kernel, which has to find, clear and map each page again: a sixth of the time of a
    GPT-2 on the CPU. Threads share one heap then: kept for each thread by itself, what one of them
    frees would be of no use to the others. Elsewhere than with glibc nothing happens.
    """
    import ctypes

    with suppress(OSError, AttributeError):
        allocator = ctypes.CDLL(None).mallopt
        # Before 2.35 glibc takes no more than 32 MB, and what it refuses it leaves at 128 kB.
        if not allocator(M_MMAP_THRESHOLD, LARGEST_TENSOR):
            allocator(M_MMAP_THRESHOLD, LARGEST_IN_OLD_GLIBC)
        allocator(M_TRIM_THRESHOLD, KEPT_BYTES)
        allocator(M_ARENA_MAX, 1)


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
def torch_pool(workers: int, threads: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """So many workers in each of which torch uses `threads` threads, which the caller does too."""
    from concurrent.futures import ThreadPoolExecutor

    import torch

    with (
        torch_threads(threads),
        # A thread obeys the number of threads once it has asked for it.
        ThreadPoolExecutor(workers, name, initializer=torch.get_num_threads) as pool,
    ):
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


def available_bytes(device: torch.device) -> int:
    """Memory that is free on a device, or on the host for every other kind than CUDA.

    On the host it counts what the system would give up, as files that it keeps in memory, and no
    more than control groups allow (containers, batch systems); elsewhere than on Linux, which tells
    both, half of all memory stands for it.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = MEMORY_FIGURES.read_text().splitlines()
        free = 1024 * next(int(line.split()[1]) for line in lines if line.startswith(AVAILABLE))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return min([free, *_allowances()])


def _allowances() -> Iterator[int]:
    """What each control group (version 2) around this process still lets it take."""
    with suppress(OSError):
        for line in PROCESS_GROUPS.read_text().splitlines():
            if line.startswith("0::/"):
                group = CONTROL_GROUPS / line.removeprefix("0::/")
                for folder in (group, *group.parents):
                    with suppress(OSError, ValueError):  # no limit, or none of the groups any more
                        limit = int((folder / "memory.max").read_text())
                        yield max(0, limit - _held(folder))


def _held(group: Path) -> int:
    """What the processes of a control group hold, less files that the system would give up."""
    counts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return int((group / "memory.current").read_text()) - int(counts.get("inactive_file", 0))


def process_bytes() -> int:
    """Memory that this process has now; elsewhere than on Linux what Python and torch take."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return TYPICAL_PROCESS_BYTES
    return pages * os.sysconf("SC_PAGE_SIZE")


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
