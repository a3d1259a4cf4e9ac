"""The process around a stage."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from ghosttrack_cli.runtime import keep_freed_memory

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
