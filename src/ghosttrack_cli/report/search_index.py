"""Which features of a report a query finds, best first; search.py says what that means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.report.search import caseless, terms
from ghosttrack_cli.report.search_files import KINDS, PLACES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ghosttrack_cli.site import Site


TOKEN_LEVEL = 1
WORDS_LEVEL = TOKEN_LEVEL + len(KINDS)
NOT_FOUND = WORDS_LEVEL + len(PLACES)


@dataclass(frozen=True)
class Hit:
    """A feature that a query finds; the smallest `order` is the best answer."""

    layer: Site
    feature: int
    order: tuple[float, ...]


@dataclass(frozen=True)
class Searched:
    """What a search looks into: columns by feature number, tokens, and the files of words."""

    layer: Site
    flags: Sequence[Sequence[str]]
    telling: Sequence[float]
    tokens: Mapping[str, Any]
    words: Iterable[Mapping[str, Any]]


def search(query: str, report: Searched) -> Iterator[Hit]:
    """The features of a report that have every term of `query`, in any order."""
    wanted = terms(query)
    lowered = [caseless(text) for text in report.tokens["strings"]]
    found = [_Term(term, report, lowered) for term in wanted]
    count = len(report.telling)
    for words in report.words if found else ():
        for one in found:
            one.look_into(words)
    for feature in range(count):
        worst = max((one.levels[feature] for one in found), default=0)
        if worst < NOT_FOUND:
            strength = sum(one.strength(feature) for one in found)
            order = (worst, -strength, -report.telling[feature], *report.layer.order, feature)
            yield Hit(report.layer, feature, order)


class _Term:
    """One term: for every feature the first level that has it."""

    def __init__(self, term: str, report: Searched, lowered: Sequence[str]) -> None:
        self._term = term
        self._tokens = report.tokens
        self._hits = frozenset(place for place, text in enumerate(lowered) if term in text)
        self.levels = [
            0 if self._names(feature, flags) else self._token_level(feature)
            for feature, flags in enumerate(report.flags)
        ]

    def _names(self, feature: int, flags: Sequence[str]) -> bool:
        return self._term.removeprefix("#") == str(feature) or self._term in flags

    def _token_level(self, feature: int) -> int:
        for level, kind in enumerate(KINDS, TOKEN_LEVEL):
            if not self._hits.isdisjoint(self._tokens[kind][feature]):
                return level
        return NOT_FOUND

    def look_into(self, words: Mapping[str, Any]) -> None:
        """Find the term in the words of some features' examples, where nothing better has it."""
        levels, term = self.levels, self._term
        for level, place in reversed(list(enumerate(PLACES, WORDS_LEVEL))):
            for feature, text in enumerate(words[place], words["first"]):
                if term in text and level < levels[feature]:
                    levels[feature] = level

    def strength(self, feature: int) -> float:
        """What the feature's firings say about the tokens that have the term."""
        if self.levels[feature] != TOKEN_LEVEL:
            return 0.0
        pairs = zip(self._tokens["fires"][feature], self._tokens["strengths"][feature], strict=True)
        return float(sum(value for token, value in pairs if token in self._hits))
