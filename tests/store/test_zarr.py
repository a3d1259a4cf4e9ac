"""Plain zarr-python reads what the store wrote, and writes what the store reads."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
import zarr
from tests.store.synthetic import IDENTITY, Plan

from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.read.reader import ActivationStore

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.store.format.identity import Compression, StoreDtype

pytestmark = pytest.mark.usefixtures("no_fsync", "small_segments")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("compress", ["none", "lz4", "zstd"])
def test_zarr_reads_the_same_rows(tmp_path: Path, dtype: StoreDtype, compress: Compression) -> None:
    identity = replace(IDENTITY, dtype=dtype, compress=compress)
    Plan((0, 12), 301, identity=identity).run(tmp_path / "a.zarr")
    store = ActivationStore.open(tmp_path / "a.zarr")
    group: Any = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert dict(group.attrs)["model"] == "tiny"
    assert dict(group.attrs)["schema_version"] == 1
    for layer in (0, 12):
        array = group[f"layers/{layer:02d}/resid_post"]
        assert array.dtype == store.dtype
        assert np.array_equal(array[:], store.read(layer))
    assert np.array_equal(group["token_ids"][:], store.token_ids())
    assert np.array_equal(group["doc_ids"][:], store.doc_ids())
    assert np.array_equal(group["positions"][:], store.positions())


def test_shapes_follow_every_commit(tmp_path: Path) -> None:
    Plan((0,), 301, 5).run(tmp_path / "a.zarr")
    group: Any = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert group["layers/00/resid_post"].shape == (200, 4)
    assert group["token_ids"].shape == (200,)


@pytest.mark.parametrize("compress", ["none", "lz4", "zstd"])
def test_a_chunk_that_zarr_wrote_is_read(tmp_path: Path, compress: Compression) -> None:
    identity = replace(IDENTITY, dtype="bfloat16", compress=compress)
    Plan((0,), 301, identity=identity).run(tmp_path / "a.zarr")
    store = ActivationStore.open(tmp_path / "a.zarr")
    rows = store.read(0)
    chunk = layout.chunk_path(tmp_path / "a.zarr", layout.layer_array(0), 3)
    ours = chunk.read_bytes()
    chunk.unlink()
    group: Any = zarr.open_group(tmp_path / "a.zarr", mode="r+")
    group["layers/00/resid_post"][48:64] = rows[48:64]
    assert np.array_equal(store.read(0), rows)
    assert chunk.read_bytes() == ours


def test_bfloat16_opens_in_a_process_that_imports_zarr_alone(tmp_path: Path) -> None:
    Plan((0,), 64, identity=replace(IDENTITY, dtype="bfloat16")).run(tmp_path / "a.zarr")
    code = (
        "import sys, zarr; "
        "array = zarr.open_group(sys.argv[1], mode='r')['layers/00/resid_post']; "
        "print(array.dtype, float(array[:].astype('float64').sum()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.zarr")],
        check=True,
        capture_output=True,
        text=True,
    )
    rows = ActivationStore.open(tmp_path / "a.zarr").read(0).astype(np.float64)
    assert done.stdout.split() == ["bfloat16", str(rows.sum())]


def test_zarr_makes_and_fills_bfloat16_arrays(tmp_path: Path) -> None:
    values = np.arange(10, dtype=np.float32).astype(ml_dtypes.bfloat16)
    made: Any = zarr.create_array(
        tmp_path / "b.zarr", shape=(12,), chunks=(5,), dtype=values.dtype, fill_value=float("inf")
    )
    made[:10] = values
    found: Any = zarr.open_array(tmp_path / "b.zarr", mode="r")
    assert found.dtype == ml_dtypes.bfloat16
    assert np.array_equal(found[:10], values)
    assert np.isinf(found[10:].astype(np.float32)).all()
    metadata = json.loads((tmp_path / "b.zarr" / "zarr.json").read_text())
    assert (metadata["data_type"], metadata["fill_value"]) == ("bfloat16", "Infinity")
