"""Search over everything that a report has: the cases that terminal and page share, and speed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ghosttrack_cli.report.search import caseless
from ghosttrack_cli.report.search_index import Hit, Searched, search
from ghosttrack_cli.site import Site

TABLE = json.loads(Path(__file__).with_name("search_cases.json").read_text())
LISTS = ("flags", "tokens", "promoted", "suppressed", "top", "other")
NOTHING: dict[str, Any] = {"telling": 0.0, **{name: [] for name in LISTS}}


def searched(layer: int) -> Searched:
    """The table's features as the files of a report hold them."""
    strings: dict[str, int] = {}
    listed = {one["feature"]: one for one in TABLE["features"]}
    features = [listed.get(feature, NOTHING) for feature in range(max(listed) + 1)]

    def places(texts: list[str]) -> list[int]:
        return [strings.setdefault(text, len(strings)) for text in texts]

    tokens = {
        "fires": [places([text for text, _ in one["tokens"]]) for one in features],
        "strengths": [[strength for _, strength in one["tokens"]] for one in features],
        "promotes": [places(one["promoted"]) for one in features],
        "suppresses": [places(one["suppressed"]) for one in features],
    }
    words = {
        name: ["\n".join(caseless(text) for text in one[name]) for one in features]
        for name in ("top", "other")
    }
    half = len(features) // 2
    return Searched(
        layer=Site(layer),
        flags=[one["flags"] for one in features],
        telling=[one["telling"] for one in features],
        tokens={**tokens, "strings": list(strings)},
        words=[
            {"first": 0, **{name: texts[:half] for name, texts in words.items()}},
            {"first": half, **{name: texts[half:] for name, texts in words.items()}},
        ],
    )


def find(query: str, layer: int) -> list[Hit]:
    """The hits among the table's features; the numbers between them are features of no words."""
    known = {one["feature"] for one in TABLE["features"]}
    return [hit for hit in search(query, searched(layer)) if hit.feature in known]


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["query"])
def test_what_is_found_in_which_order(case: dict[str, Any]) -> None:
    found = sorted(find(case["query"], 6), key=lambda hit: hit.order)
    assert [hit.feature for hit in found] == case["found"]


def test_layers_are_mixed_by_how_well_they_answer() -> None:
    hits = [*find("river", 2), *find("river", 5)]
    best = sorted(hits, key=lambda hit: hit.order)
    assert [(hit.layer.layer, hit.feature) for hit in best[:4]] == [(2, 4), (5, 4), (2, 3), (5, 3)]
