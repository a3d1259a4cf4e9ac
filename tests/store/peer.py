"""Run by another interpreter, where TensorStore and zarrs are installed and GhostTrack is not.

`python peer.py LIBRARY STORE` prints, for each array, its dtype and the SHA-256 of its rows; with
a third argument it then writes rows 48 to 64 of the layer again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ARRAYS = ("layers/02/resid_post", "token_ids", "doc_ids", "positions")


def open_with_tensorstore(path: Path, *, write: bool) -> Any:
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    return tensorstore.open(spec, open=True, read=True, write=write).result()


def open_with_zarrs(path: Path, *, write: bool) -> Any:
    import zarr
    import zarrs  # noqa: F401 - the codec pipeline

    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    data_type = (
        Path(__file__).parents[2] / "src" / "ghosttrack_cli" / "store" / "format" / "bfloat16.py"
    )
    spec = importlib.util.spec_from_file_location("bfloat16", data_type)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["bfloat16"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["bfloat16"])
    return zarr.open_array(path, mode="r+" if write else "r")


def rows_of(array: Any) -> np.ndarray[Any, Any]:
    found = array[:]
    return np.asarray(found.read().result() if hasattr(found, "read") else found)


def main() -> None:
    library, store = sys.argv[1], Path(sys.argv[2])
    opener = {"tensorstore": open_with_tensorstore, "zarrs": open_with_zarrs}[library]
    found = {}
    for name in ARRAYS:
        rows = rows_of(opener(store / name, write=False))
        found[name] = [str(rows.dtype), hashlib.sha256(rows.tobytes()).hexdigest()]
    sys.stdout.write(json.dumps(found) + "\n")
    if len(sys.argv) > 3:
        array = opener(store / ARRAYS[0], write=True)
        array[48:64] = rows_of(array)[48:64]


if __name__ == "__main__":
    main()
