"""TensorStore and zarrs read and write the store, each in an interpreter of its own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import venv
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.store import peer
from tests.store.synthetic import IDENTITY, Plan
from tests.support.files import tree

from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.read.reader import ActivationStore

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.store.format.identity import Compression, StoreDtype

pytestmark = [pytest.mark.peers, pytest.mark.slow]


@pytest.fixture(scope="session")
def peers_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with TensorStore and zarrs."""
    folder = tmp_path_factory.mktemp("peers")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    packages = ["tensorstore", "zarrs", "zarr>=3.1,<4", "ml_dtypes", "numpy"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def digest(store: ActivationStore, name: str) -> list[str]:
    rows = {
        "token_ids": store.token_ids,
        "doc_ids": store.doc_ids,
        "positions": store.positions,
    }.get(name, lambda: store.read(2))()
    return [str(rows.dtype), hashlib.sha256(rows.tobytes()).hexdigest()]


@pytest.mark.parametrize("library", ["tensorstore", "zarrs"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("compress", ["none", "lz4", "zstd"])
def test_a_peer_reads_and_writes_the_store(
    tmp_path: Path, peers_python: Path, library: str, dtype: StoreDtype, compress: Compression
) -> None:
    path = tmp_path / "a.zarr"
    Plan((2,), 301, identity=replace(IDENTITY, dtype=dtype, compress=compress)).run(path)
    store, before = ActivationStore.open(path), tree(path)
    chunk = layout.chunk_path(path, layout.layer_array(2), 3)
    written = chunk.stat().st_mtime_ns
    done = subprocess.run(
        [peers_python, peer.__file__, library, path, "write"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == {name: digest(store, name) for name in peer.ARRAYS}
    assert chunk.stat().st_mtime_ns > written
    assert store.verify() == []
    if compress == "none":
        assert tree(path) == before
