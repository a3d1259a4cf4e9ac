"""Memory: what is free, what this process has, what is reused."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # names and values of <malloc.h>

TYPICAL_PROCESS_BYTES = 2**28

MEMORY_FIGURES, AVAILABLE = Path("/proc/meminfo"), "MemAvailable:"

PROCESS_GROUPS, CONTROL_GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")

LARGEST_TENSOR, LARGEST_IN_OLD_GLIBC, KEPT_BYTES = 2**30, 2**25, 2**31 - 1


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
