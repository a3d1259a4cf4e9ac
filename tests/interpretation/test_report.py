"""The report's models and their published schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from ghosttrack_cli.report import schema
from ghosttrack_cli.report.feature_flags import (
    FLAGS,
    MEANINGS,
    counts_name,
    flag_bits,
    flag_names,
)
from ghosttrack_cli.report.feature_schema import FeatureShard

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "report.schema.json"


def test_published_schema_is_current() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == schema.json_schema()


def test_schema_key_is_written_and_read_under_its_alias() -> None:
    shard = FeatureShard(layer=6, first=0, features=[])
    text = shard.model_dump_json()
    assert json.loads(text) == {"schema": 3, "layer": 6, "first": 0, "features": []}
    assert FeatureShard.model_validate_json(text) == shard


def test_other_version_is_refused() -> None:
    with pytest.raises(ValidationError):
        FeatureShard.model_validate({"schema": 1, "layer": 6, "first": 0, "features": []})


def test_flag_bits_follow_the_published_order() -> None:
    assert [flag_bits([flag]) for flag in FLAGS] == [1, 2, 4, 8, 16, 32]
    assert [flag_names(1 << bit) for bit in range(6)] == [[flag] for flag in FLAGS]


def test_each_flag_has_a_meaning_and_a_count() -> None:
    assert tuple(MEANINGS) == FLAGS
    assert {counts_name(flag) for flag in FLAGS} <= set(schema.FeatureCounts.model_fields)
