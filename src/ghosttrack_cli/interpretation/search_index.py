"""What a search looks into, feature by feature, and which features a query finds, best first.

The definition is in search.py; here are the texts of a report as a search compares them, which lie
beside its features so that a search reads no example's activations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli.interpretation.report import (
    SCHEMA_VERSION,
    SHARD_FEATURES,
    Count,
    Flag,
    Record,
    SchemaVersion,
)
from ghosttrack_cli.interpretation.search import caseless, strength, terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ghosttrack_cli.interpretation.report import FeatureReport

TOKEN_LEVEL = 1


class FeatureTexts(Record):
    """The texts of one feature, caseless; the number and the flags are searched too."""

    feature: Count
    flags: list[Flag]
    telling: float
    tokens: list[tuple[str, float]]
    """Firing tokens with their strength."""
    promoted: list[str]
    suppressed: list[str]
    top: list[str]
    """Top examples."""
    other: list[str]
    """The other examples."""


class SearchShard(Record):
    """One file search/NNN.json: the features of features/NNN.json."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    features: list[FeatureTexts]


@dataclass(frozen=True)
class Hit:
    """A feature that a query finds; the smallest `order` is the best answer."""

    layer: int
    feature: int
    order: tuple[float, ...]


def search_name(feature: int) -> str:
    """The file inside a report that holds the texts of `feature`.

    >>> search_name(0), search_name(511)
    ('search/000.json', 'search/001.json')
    """
    return f"search/{feature // SHARD_FEATURES:03d}.json"


def feature_texts(one: FeatureReport) -> FeatureTexts:
    """The texts of a feature."""
    texts = [caseless("".join(example.texts)) for example in one.examples]
    top = set(one.top)
    return FeatureTexts(
        feature=one.feature,
        flags=one.flags,
        telling=one.telling,
        tokens=[(caseless(token.text), round(strength(token), 6)) for token in one.tokens],
        promoted=[caseless(entry.text) for entry in one.promoted],
        suppressed=[caseless(entry.text) for entry in one.suppressed],
        top=[texts[place] for place in one.top],
        other=[text for place, text in enumerate(texts) if place not in top],
    )


def search(query: str, layer: int, features: Iterable[FeatureTexts]) -> Iterator[Hit]:
    """The features of a layer that have every term of `query`, in any order."""
    wanted = terms(query)
    for one in features:
        levels = [_level(term, one) for term in wanted]
        if None not in levels:
            worst = max((level or 0 for level in levels), default=0)
            strengths = [
                _strength(term, one)
                for term, level in zip(wanted, levels, strict=True)
                if level == TOKEN_LEVEL
            ]
            order = (worst, -sum(strengths), -one.telling, layer, one.feature)
            yield Hit(layer, one.feature, order)


def _level(term: str, one: FeatureTexts) -> int | None:
    if term.removeprefix("#") == str(one.feature) or term in one.flags:
        return 0
    tokens = [text for text, _ in one.tokens]
    places = (tokens, one.promoted, one.suppressed, one.top, one.other)
    for level, texts in enumerate(places, start=TOKEN_LEVEL):
        if any(term in text for text in texts):
            return level
    return None


def _strength(term: str, one: FeatureTexts) -> float:
    return sum(value for text, value in one.tokens if term in text)
