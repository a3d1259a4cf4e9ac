"""The report's models and their published schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ghosttrack_cli.report import schema
from ghosttrack_cli.report.stored import SUMMARY_SCHEMA

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "report.schema.json"


def test_published_schema_is_current() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == schema.json_schema()


def test_schema_key_is_written_and_read_under_its_alias() -> None:
    shard = schema.FeatureShard(layer=6, first=0, features=[])
    text = shard.model_dump_json()
    assert json.loads(text) == {"schema": 3, "layer": 6, "first": 0, "features": []}
    assert schema.FeatureShard.model_validate_json(text) == shard


def test_status_knows_the_same_version() -> None:
    assert SUMMARY_SCHEMA == schema.SCHEMA_VERSION


def test_other_version_is_refused() -> None:
    with pytest.raises(ValidationError):
        schema.FeatureShard.model_validate({"schema": 1, "layer": 6, "first": 0, "features": []})


def test_flag_bits_follow_the_published_order() -> None:
    assert [schema.flag_bits([flag]) for flag in schema.FLAGS] == [1, 2, 4, 8, 16, 32]  # type: ignore[list-item]
