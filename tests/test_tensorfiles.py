"""Tensors written one by one make the file that safetensors itself writes."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.tensorfiles import read_tensors, write_tensors

if TYPE_CHECKING:
    from pathlib import Path


def test_the_bytes_are_those_of_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    dtypes = (torch.float32, torch.int64, torch.bfloat16, torch.bool, torch.uint8, torch.float64)
    tensors = {f"é.{i}": torch.arange(6).reshape(2, 3).to(dtype) for i, dtype in enumerate(dtypes)}
    tensors |= {"scalar": torch.tensor(1.5), "empty": torch.zeros(2, 0)}
    digest = write_tensors(path, tensors)
    assert path.read_bytes() == safetensors.torch.save(tensors)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_rows_that_lie_in_columns_come_back_as_rows(tmp_path: Path) -> None:
    columns = torch.arange(12.0).reshape(3, 4).T
    digest = write_tensors(tmp_path / "a", {"a": columns})
    assert torch.equal(read_tensors(tmp_path / "a", sha256=digest)["a"], columns)


def test_one_element_with_any_stride(tmp_path: Path) -> None:
    one = torch.tensor(7).expand(1)
    digest = write_tensors(tmp_path / "a", {"a": one})
    assert read_tensors(tmp_path / "a", sha256=digest)["a"].tolist() == [7]


def test_a_header_that_is_nested_too_deeply_is_no_safetensors_file(tmp_path: Path) -> None:
    header = b"[" * 100_000
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CorruptionError, match="not a safetensors file"):
        read_tensors(path)
