"""The process around a stage."""

from __future__ import annotations

import platform
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import torch

from ghosttrack_cli.machine import devices, memory

if TYPE_CHECKING:
    from pathlib import Path

CPU = torch.device("cpu")
FAULTS = """
import resource
import torch
from ghosttrack_cli.machine.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(2**24).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
before = faults()
keep_freed_memory()
faults()
print(before, faults())
"""


def old_c_library() -> bool:
    name, version = platform.libc_ver()
    return name != "glibc" or tuple(map(int, version.split("."))) < (2, 35)


@pytest.mark.skipif(old_c_library(), reason="only newer versions of glibc keep so much")
def test_memory_that_was_freed_is_used_again_without_asking_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True
    )
    before, after = map(int, done.stdout.split())
    assert after < before / 10


@pytest.fixture
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system with 8 GB free, in whose control group /job/step nothing is limited yet."""
    (tmp_path / "meminfo").write_text("MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n")
    (tmp_path / "cgroup").write_text("0::/job/step\n")
    (tmp_path / "groups/job/step").mkdir(parents=True)
    (tmp_path / "groups/job/step/memory.max").write_text("max\n")
    monkeypatch.setattr(memory, "MEMORY_FIGURES", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "PROCESS_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "CONTROL_GROUPS", tmp_path / "groups")
    return tmp_path


def test_free_memory_is_what_the_system_has_available(figures: Path) -> None:
    assert memory.available_bytes(CPU) == 8_000_000 * 1024


def test_free_memory_is_no_more_than_a_job_may_take(figures: Path) -> None:
    """What is kept of files would be given up, so it counts as free."""
    group = figures / "groups/job"
    (group / "memory.max").write_text("5000\n")
    (group / "memory.current").write_text("3000\n")
    (group / "memory.stat").write_text("anon 2000\ninactive_file 600\n")
    assert memory.available_bytes(CPU) == 5000 - (3000 - 600)
    (group / "memory.current").write_text("9000\n")
    assert memory.available_bytes(CPU) == 0


def test_a_system_that_does_not_tell_has_half_of_its_memory_free(figures: Path) -> None:
    (figures / "meminfo").unlink()
    (figures / "cgroup").unlink()
    assert 2**28 < memory.available_bytes(CPU) < 2**45


def test_workers_obey_the_number_of_threads_before_their_first_operation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that never asked for the number takes as many as there are cores."""
    before, asked = torch.get_num_threads(), set()
    ask = torch.get_num_threads

    def recorded() -> int:
        asked.add(threading.get_ident())
        return ask()

    monkeypatch.setattr(torch, "get_num_threads", recorded)
    with devices.torch_pool(3, 1, "test") as pool:
        inside = list(pool.map(lambda _: (threading.get_ident() in asked, ask()), range(9)))
    assert inside == [(True, 1)] * 9
    assert ask() == before
