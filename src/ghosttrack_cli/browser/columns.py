"""The list of a layer's features in columns, and what a search looks into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli.report.schema import FLAGS
from ghosttrack_cli.report.search import caseless, strength

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ghosttrack_cli.report.schema import FeatureIndex, FeatureReport

SEARCH_CHARACTERS = 4_000_000
"""A file with the words of examples is closed once it holds this many."""


class ListColumns:
    """Collects the tokens of the features that pass by, then gives the columns of the list."""

    def __init__(self, index: FeatureIndex) -> None:
        self._index = index
        self._strings: dict[str, int] = {}
        self._tokens: dict[str, list[list[int]]] = {
            name: [] for name in ("fires", "promotes", "suppresses")
        }
        self._strengths: list[list[float]] = []

    def watch(self, reports: Iterable[FeatureReport]) -> Iterator[FeatureReport]:
        """Pass the features on, in their order."""
        for report in reports:
            texts = {
                "fires": [token.text for token in report.tokens],
                "promotes": [entry.text for entry in report.promoted],
                "suppresses": [entry.text for entry in report.suppressed],
            }
            for name, column in self._tokens.items():
                column.append([self._place(text) for text in texts[name]])
            self._strengths.append([float(f"{strength(one):.6g}") for one in report.tokens])
            yield report

    def _place(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def payload(self, starts: list[int], search_files: int) -> dict[str, Any]:
        """Columns by feature number; `starts` are the first features of the feature files."""
        index = self._index
        return {
            "flag_names": list(FLAGS),
            "shards": starts,
            "search_files": search_files,
            "firings": index.firings,
            "rate": index.rate,
            "max": index.max_act,
            "mean": index.mean_act,
            "telling": index.telling,
            "flags": index.flags,
            "strings": list(self._strings),
            **self._tokens,
            "strengths": self._strengths,
        }


class ExampleWords:
    """The texts of examples as a search reads them, a line each, in files of their own."""

    def __init__(self) -> None:
        self.files: list[dict[str, list[str]]] = []
        self._characters = SEARCH_CHARACTERS

    def watch(self, reports: Iterable[FeatureReport]) -> Iterator[FeatureReport]:
        """Pass the features on, in their order."""
        for report in reports:
            if self._characters >= SEARCH_CHARACTERS:
                self.files.append({"top": [], "other": []})
                self._characters = 0
            top = set(report.top)
            for name, chosen in (("top", True), ("other", False)):
                texts = [
                    caseless("".join(example.texts))
                    for place, example in enumerate(report.examples)
                    if (place in top) is chosen
                ]
                self.files[-1][name].append("\n".join(texts))
                self._characters += sum(map(len, texts))
            yield report
