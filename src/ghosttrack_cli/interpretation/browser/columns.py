"""The list of a layer's features in columns, with what a search looks into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli.interpretation.report import FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ghosttrack_cli.interpretation.report import FeatureIndex, FeatureReport

SEARCHED_TOKENS = 12
SHOWN_LOGITS = 6


class ListColumns:
    """Collects the tokens of the features that pass by, then gives the columns of the list."""

    def __init__(self, index: FeatureIndex) -> None:
        self._index = index
        self._strings: dict[str, int] = {}
        self._fires: list[list[int]] = []
        self._promotes: list[list[int]] = []

    def watch(self, reports: Iterable[FeatureReport]) -> Iterator[FeatureReport]:
        """Pass the features on, in their order."""
        for report in reports:
            shown = self._index.tokens[report.feature]
            others = [token.text for token in report.tokens[:SEARCHED_TOKENS]]
            self._fires.append(self._places([*shown, *others]))
            promoted = [entry.text for entry in report.promoted[:SHOWN_LOGITS]]
            self._promotes.append(self._places(promoted))
            yield report

    def _places(self, texts: list[str]) -> list[int]:
        return [self._strings.setdefault(text, len(self._strings)) for text in dict.fromkeys(texts)]

    def payload(self, starts: list[int]) -> dict[str, Any]:
        """Columns by feature number; `starts` are the first features of the feature files."""
        index = self._index
        return {
            "flag_names": list(FLAGS),
            "shards": starts,
            "firings": index.firings,
            "rate": index.rate,
            "max": index.max_act,
            "mean": index.mean_act,
            "flags": index.flags,
            "strings": list(self._strings),
            "fires": self._fires,
            "promotes": self._promotes,
        }
