"""A device that is not there is refused by its name; none stands in for it."""

from __future__ import annotations

import pytest
import torch

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.runtime import resolve_device


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without any GPU, whatever this one has."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cuda", "sees 0 CUDA devices"),
        ("cuda:0", "sees 0 CUDA devices"),
        ("mps", "sees 0 MPS devices"),
        ("mps:0", "sees 0 MPS devices"),
        ("cpu:1", "sees 1 CPU devices"),
        ("meta", "not supported: 'meta'"),
        ("xla", "not supported: 'xla'"),
        ("xpu", "not supported: 'xpu'"),
        ("hpu:0", "not supported: 'hpu:0'"),
        ("CPU", "no such device: 'CPU'"),
        ("gpu", "no such device: 'gpu'"),
        ("", "no such device: ''"),
    ],
)
def test_a_device_that_is_not_there_is_a_usage_error(
    name: str, words: str, machine: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        resolve_device(name)
    assert "--device auto" in str(caught.value.hint)


def test_a_gpu_of_a_higher_number(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UsageError, match=r"'cuda:2' asked, but .* sees 2 CUDA devices"):
        resolve_device("cuda:2")


def test_auto_takes_the_best_device_that_is_there(machine: pytest.MonkeyPatch) -> None:
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    machine.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto") == resolve_device("mps") == torch.device("mps")
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("auto") == torch.device("cuda")
