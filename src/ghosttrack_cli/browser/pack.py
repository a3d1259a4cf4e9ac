"""Features as the page reads them: texts once a file, activations only where there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ghosttrack_cli.report.contrast_schema import ContrastEntry
    from ghosttrack_cli.report.feature_schema import Example, FeatureReport

FILE_TOKENS = 100_000
"""A file is closed once it holds this many tokens: about a megabyte, read in well under 50 ms."""


class FeatureFile:
    """Consecutive features of one layer that share a table of tokens."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.tokens = 0
        self._table: dict[tuple[int, str], int] = {}
        self._features: list[dict[str, Any]] = []

    def add(self, report: FeatureReport, contrast: ContrastEntry | None) -> None:
        """Put the next feature in."""
        self.tokens += sum(len(example.ids) for example in report.examples)
        fields = report.model_dump(mode="json", exclude={"examples"})
        fields["examples"] = [self._example(example) for example in report.examples]
        fields["contrast"] = None if contrast is None else contrast.model_dump(mode="json")
        self._features.append(fields)

    def _example(self, example: Example) -> dict[str, Any]:
        at = [place for place, act in enumerate(example.acts) if act]
        table = self._table
        pairs = zip(example.ids, example.texts, strict=True)
        return {
            "tokens": [table.setdefault(pair, len(table)) for pair in pairs],
            "at": at,
            "acts": [example.acts[place] for place in at],
            "peak": example.peak,
            "act": example.act,
            "document": example.document,
            "position": example.position,
            "answer": example.answer,
        }

    def payload(self) -> dict[str, Any]:
        """What the page gets: `ids` and `texts` by number, examples hold the numbers."""
        return {
            "first": self.first,
            "ids": [token for token, _ in self._table],
            "texts": [text for _, text in self._table],
            "features": self._features,
        }


def feature_files(
    reports: Iterable[FeatureReport], contrast: Mapping[int, ContrastEntry]
) -> Iterator[FeatureFile]:
    """Cut the features of a layer, in their order, into files of about FILE_TOKENS tokens."""
    current: FeatureFile | None = None
    for report in reports:
        current = current or FeatureFile(report.feature)
        current.add(report, contrast.get(report.feature))
        if current.tokens >= FILE_TOKENS:
            yield current
            current = None
    if current is not None:
        yield current
