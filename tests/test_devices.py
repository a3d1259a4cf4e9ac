"""A device that is not there is refused by its name; none stands in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.extraction.plan import plan
from ghosttrack_cli.machine.devices import resolve_device
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.settings.schema import CorpusSettings, ExtractionSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


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
    with pytest.raises(UsageError, match=r"'cuda:2' requested, but .* sees 2 CUDA devices"):
        resolve_device("cuda:2")


def test_auto_takes_the_best_device_that_is_there(machine: pytest.MonkeyPatch) -> None:
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    machine.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto") == resolve_device("mps") == torch.device("mps")
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("auto") == torch.device("cuda")


def test_a_device_is_refused_before_the_hub_is_asked(
    machine: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine.setattr(
        "ghosttrack_cli.model.found.find_source", lambda *_: pytest.fail("the hub was asked")
    )
    asked = ModelSettings(name="gpt2", device="mps")
    workspace = Workspace(tmp_path)
    request = StageRequest(asked, CorpusSettings(), ExtractionSettings(), workspace)
    with pytest.raises(UsageError, match="'mps' requested"):
        plan(request)


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_device_that_auto_takes_is_said(
    device: str, machine: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    notices: list[str] = []
    ResidualModel.load(ModelSettings(name=str(tiny_model), device=device), notice=notices.append)
    assert notices == (["gpt2 runs on cpu in float32"] if device == "auto" else [])
