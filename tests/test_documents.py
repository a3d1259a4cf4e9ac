"""Small JSON on disk: damaged files are named, whatever the damage; sealed ones notice one bit."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE

if TYPE_CHECKING:
    from pathlib import Path

DEPTH = 100_000
DAMAGED = {
    "nested lists": b'{"a": ' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "nested objects": b'{"a": ' * DEPTH + b"1" + b"}" * DEPTH,
    "a million brackets": b"[" * 10**6,
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "beyond float64": b'{"a": 1e999}',
    "a whole number of 1000 digits": b'{"a": ' + b"9" * 1000 + b"}",
    "a whole number of 10,000 digits": b'{"a": ' + b"9" * 10_000 + b"}",
    "a key twice": b'{"a": 1, "a": 2}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-32": '{"a": 1}'.encode("utf-32-le"),
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "a mark": b'\xef\xbb\xbf{"a": 1}',
    "a list": b"[1]",
    "a number": b"1",
    "null": b"null",
    "nothing": b"",
    "half": b'{"a": 1',
    "zeros": bytes(100),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_named_whatever_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(DAMAGED[name])
    with pytest.raises(CorruptionError, match=f"^damaged: {path}: "):
        files.read_json(path)
    with pytest.raises(CorruptionError, match=f"^damaged: {path}: "):
        files.read_sealed(path)


def test_damage_under_a_seal_of_its_own_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    body = DAMAGED["nested lists"].removeprefix(b"{")
    seal = hashlib.sha256(body).hexdigest()
    path.write_bytes(f'{{"checksum": "{seal}",\n'.encode() + body)
    with pytest.raises(CorruptionError, match="nested too deeply"):
        files.read_sealed(path)


@pytest.mark.parametrize("name", ["nested lists", "NaN", "UTF-16", "a list"])
@pytest.mark.parametrize("file", ["cfg.json", "checksums.json"])
def test_an_sae_with_a_damaged_document_is_refused(tmp_path: Path, name: str, file: str) -> None:
    JumpReLUSAE(4, 8).save(tmp_path / "sae")
    (tmp_path / "sae" / file).write_bytes(DAMAGED[name])
    with pytest.raises(CorruptionError, match=file):
        JumpReLUSAE.load(tmp_path / "sae")


def test_other_programs_may_write_what_json_does_not_have(tmp_path: Path) -> None:
    """Mamba's config.json says `"time_step_limit": [0.0, Infinity]`."""
    path = tmp_path / "config.json"
    path.write_bytes(b'{"limit": [0.0, Infinity], "a": 1, "a": 2}')
    assert files.read_json(path, foreign=True) == {"limit": [0.0, float("inf")], "a": 2}


def test_a_sealed_file_is_one_json_object_of_known_bytes(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    files.write_sealed(path, {"b": [1, 2], "a": "é"})
    body = b' "a": "\\u00e9",\n "b": [\n  1,\n  2\n ]\n}\n'
    checksum = hashlib.sha256(body).hexdigest()
    assert path.read_bytes() == b'{"checksum": "' + checksum.encode() + b'",\n' + body
    assert json.loads(path.read_bytes()) == {"checksum": checksum, "a": "é", "b": [1, 2]}
    assert files.read_sealed(path) == {"a": "é", "b": [1, 2]}


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bit_that_flips_is_noticed(tmp_path: Path, data: Any) -> None:
    path = tmp_path / "some.json"
    files.write_sealed(path, {"fvu": 0.154, "l0": [64.0, 63.2]})
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(CorruptionError, match=str(path)):
        files.read_sealed(path)
