"""docs/formats.md, followed with json, hashlib and numpy alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.store.synthetic import IDENTITY, Plan, activations, doc_ids, positions, token_ids

ROWS = 16 * 64 + 100


def unseal(path: Path) -> tuple[dict[str, Any], str]:
    data = path.read_bytes()
    first, body = data.split(b"\n", 1)
    checksum = first[len('{"checksum": "') :][:64].decode()
    assert hashlib.sha256(body).hexdigest() == checksum
    document: dict[str, Any] = json.loads(data)
    assert document["checksum"] == checksum
    return document, checksum


def crc32c(data: bytes) -> int:
    """Bit by bit, polynomial 0x1EDC6F41 reflected."""
    state = np.uint32(0xFFFFFFFF)
    for byte in data:
        state ^= np.uint32(byte)
        for _ in range(8):
            low = state & np.uint32(1)
            state = (state >> np.uint32(1)) ^ (np.uint32(0x82F63B78) if low else np.uint32(0))
    return int(state ^ np.uint32(0xFFFFFFFF))


def checksums(store: Path, name: str, array: dict[str, Any]) -> list[str]:
    segments: list[list[str]] = []
    expected = array["last_segment"]
    for index in reversed(range(array["segments"])):
        segment, checksum = unseal(store / "commits" / name / f"{index:06d}.json")
        assert (checksum, segment["array"], segment["segment"]) == (expected, name, index)
        assert len(segment["checksums"]) == 64
        segments.insert(0, segment["checksums"])
        expected = segment["previous"]
    assert expected is None
    return [text for part in segments for text in part] + list(array["checksums"])


def read(store: Path, name: str, dtype: str, width: tuple[int, ...]) -> np.ndarray[Any, Any]:
    commit, _ = unseal(store / "commit.json")
    array, chunk_rows = commit["arrays"][name], commit["identity"]["chunk_rows"]
    row_bytes = np.dtype(dtype).itemsize * int(np.prod(width))
    committed = checksums(store, name, array)
    parts = []
    for index, expected in enumerate(committed):
        key = f"{index}/0" if width else str(index)
        data = (store / name / "c" / key).read_bytes()
        assert len(data) == chunk_rows * row_bytes + 4
        rows = min(chunk_rows, array["rows"] - index * chunk_rows)
        body = data[: rows * row_bytes]
        assert not any(data[rows * row_bytes : -4])
        if index % 9 == 0 or rows < chunk_rows:
            assert f"{crc32c(body):08x}" == expected
            assert crc32c(data[:-4]) == int.from_bytes(data[-4:], "little")
        if rows == chunk_rows:
            assert f"{int.from_bytes(data[-4:], 'little'):08x}" == expected
        parts.append(np.frombuffer(body, dtype).reshape(rows, *width))
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "activations.zarr"
    Plan((6,), ROWS, identity=replace(IDENTITY, dtype="bfloat16")).run(path)
    return path


def test_rows_can_be_read_from_the_document_alone(store: Path) -> None:
    halves = read(store, "layers/06/resid_post", "<u2", (4,))
    floats = (halves.astype("<u4") << 16).view("<f4")
    assert np.allclose(floats, activations(6, 0, ROWS), rtol=2**-8)
    assert np.array_equal(read(store, "token_ids", "<i4", ()), token_ids(0, ROWS))
    assert np.array_equal(read(store, "doc_ids", "<i8", ()), doc_ids(0, ROWS))
    assert np.array_equal(read(store, "positions", "<i4", ()), positions(0, ROWS))


def test_the_commit_says_what_the_document_says(store: Path) -> None:
    commit, _ = unseal(store / "commit.json")
    assert set(commit) == {
        "checksum", "schema", "identity", "rows", "asked_rows", "reached", "growth", "filling",
        "origin", "text", "arrays", "norms",
    }  # fmt: skip
    assert (commit["schema"], commit["rows"], commit["reached"]) == (1, ROWS, True)
    assert commit["arrays"]["token_ids"]["segments"] == 1
    norms = np.linalg.norm(activations(6, 0, ROWS), axis=1)
    counted = sum(sum(commit["norms"]["6"][part]["counts"]) for part in ("full", "tail"))
    assert counted == ROWS
    squares = sum(commit["norms"]["6"][part]["sum_squares"] for part in ("full", "tail"))
    assert squares == pytest.approx(float((norms**2).sum()), rel=0.01)
    edge = np.array(commit["norms"]["6"]["full"]["bins"], "<u4") << 15
    assert edge.view("<f4").min() <= norms.min() * 1.01


def test_every_key_and_file_is_in_the_document(store: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    commit, _ = unseal(store / "commit.json")
    segment, _ = unseal(store / "commits" / "token_ids" / "000000.json")
    array = commit["arrays"]["token_ids"]
    sums = commit["norms"]["6"]["full"]
    for keys in (commit, commit["identity"], array, segment, sums, commit["growth"]):
        assert [key for key in keys if f"`{key}`" not in text] == []
    assert segment["origin"] == {"cursor": 0, "rows_before": 0}
    names = {file.relative_to(store).parts[0] for file in store.rglob("*")}
    assert [name for name in names if name not in text] == []


def test_metadata_is_that_of_the_document(store: Path) -> None:
    root = json.loads((store / "zarr.json").read_text())
    commit, _ = unseal(store / "commit.json")
    assert root["attributes"] == {"schema_version": 1, **commit["identity"]}
    array = json.loads((store / "layers" / "06" / "resid_post" / "zarr.json").read_text())
    assert array["shape"] == [ROWS, 4]
    assert array["data_type"] == "bfloat16"
    assert array["codecs"] == [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "crc32c"},
    ]
