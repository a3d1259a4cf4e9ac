"""Names inside a store, and the Zarr v3 metadata of its groups and arrays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.site import Site
from ghosttrack_cli.store.format.identity import ITEM_SIZE, StoreIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ghosttrack_cli.site import AnySite

STORE_SCHEMA = 1
COMPRESSION_LEVEL = 1
TOKEN_IDS, DOC_IDS, POSITIONS = "token_ids", "doc_ids", "positions"
ROW_ARRAYS = {TOKEN_IDS: "int32", DOC_IDS: "int64", POSITIONS: "int32"}
ROW_ITEM_SIZE = {"int32": 4, "int64": 8}


def layer_array(layer: AnySite) -> str:
    """The array of a site: "layers/06/resid_post"."""
    return Site.of(layer).array


def commit_path(store: Path) -> Path:
    """The file that says what is committed."""
    return store / "commit.json"


def segment_path(store: Path, array: str, index: int) -> Path:
    """A segment of older checksums of an array."""
    return store / "commits" / array / f"{index:06d}.json"


def lock_path(store: Path) -> Path:
    """The writer's lock, beside the store so that the store holds nothing that is not data."""
    return store.with_name(f".{store.name}.lock")


def previous_path(store: Path) -> Path:
    """Where the store that `extract --overwrite` replaces waits until the new one has rows."""
    return store.with_name(f".{store.name}{files.PREVIOUS_SUFFIX}")


def metadata_path(store: Path, node: str) -> Path:
    """The `zarr.json` of a group or an array; the root group is "."."""
    return store / node / "zarr.json"


def chunk_path(store: Path, array: str, index: int) -> Path:
    """A chunk under the default key encoding: c/5 for rows alone, c/5/0 for rows of d_model."""
    folder = store / array / "c"
    return folder / str(index) if array in ROW_ARRAYS else folder / str(index) / "0"


def row_bytes(identity: StoreIdentity, array: str) -> int:
    """Bytes of one row of an array."""
    return ROW_ITEM_SIZE[ROW_ARRAYS[array]] if array in ROW_ARRAYS else identity.row_bytes


def group_metadata(attributes: dict[str, Any]) -> dict[str, Any]:
    """The `zarr.json` of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def array_metadata(identity: StoreIdentity, array: str, rows: int) -> dict[str, Any]:
    """The `zarr.json` of an array with `rows` rows."""
    by_row = array in ROW_ARRAYS
    width = [] if by_row else [identity.d_model]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [rows, *width],
        "data_type": ROW_ARRAYS[array] if by_row else identity.dtype,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [identity.chunk_rows, *width]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0 if by_row else 0.0,
        "codecs": _codecs(identity, compressed=not by_row),
        "dimension_names": ["row"] if by_row else ["row", "d_model"],
        "attributes": {},
    }


def _codecs(identity: StoreIdentity, *, compressed: bool) -> list[dict[str, Any]]:
    blosc = {
        "cname": identity.compress,
        "clevel": COMPRESSION_LEVEL,
        "shuffle": "bitshuffle",
        "typesize": ITEM_SIZE[identity.dtype],
        "blocksize": 0,
    }
    squeeze = compressed and identity.compress != "none"
    return [
        {"name": "bytes", "configuration": {"endian": "little"}},
        *([{"name": "blosc", "configuration": blosc}] if squeeze else []),
        {"name": "crc32c"},
    ]


def metadata(identity: StoreIdentity, rows: Mapping[str, int]) -> dict[str, bytes]:
    """All `zarr.json` files of a store, by node, for arrays with these rows."""
    root = {"schema_version": STORE_SCHEMA, **identity.to_json()}
    groups = {".": group_metadata(root), "layers": group_metadata({})}
    for array in rows:
        if array not in ROW_ARRAYS:
            groups[array.rpartition("/")[0]] = group_metadata({})
    arrays = {array: array_metadata(identity, array, count) for array, count in rows.items()}
    return {node: _dump(document) for node, document in (groups | arrays).items()}


def _dump(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
