"""Search over everything that a report has: the cases that terminal and page share, and speed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ghosttrack_cli.interpretation.search import caseless
from ghosttrack_cli.interpretation.search_index import FeatureTexts, search

TABLE = json.loads(Path(__file__).with_name("search_cases.json").read_text())


def texts_of(one: dict[str, Any]) -> FeatureTexts:
    plain = {name: one[name] for name in ("feature", "flags", "telling")}
    lists = {
        name: [caseless(text) for text in one[name]]
        for name in ("promoted", "suppressed", "top", "other")
    }
    tokens = [(caseless(text), strength) for text, strength in one["tokens"]]
    return FeatureTexts(**plain, **lists, tokens=tokens)


FEATURES = [texts_of(one) for one in TABLE["features"]]


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["query"])
def test_what_is_found_in_which_order(case: dict[str, Any]) -> None:
    found = sorted(search(case["query"], 6, FEATURES), key=lambda hit: hit.order)
    assert [hit.feature for hit in found] == case["found"]


def test_layers_are_mixed_by_how_well_they_answer() -> None:
    hits = [*search("river", 2, FEATURES), *search("river", 5, FEATURES)]
    best = sorted(hits, key=lambda hit: hit.order)
    assert [(hit.layer, hit.feature) for hit in best[:4]] == [(2, 4), (5, 4), (2, 3), (5, 3)]
