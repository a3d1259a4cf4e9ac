"""From what a pass collected to the records of a report.

F d_hidden. Numbers are rounded to what can be told apart: six digits, activations four.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.interpretation.collect.moments import bin_edges, position_edges
from ghosttrack_cli.interpretation.features import feature_statistics
from ghosttrack_cli.report.feature_schema import (
    Band,
    Example,
    FeatureReport,
    FiringToken,
    LogitEntry,
    Neighbour,
)

if TYPE_CHECKING:
    from ghosttrack_cli.interpretation.collect.arrays import AnyArray
    from ghosttrack_cli.interpretation.collect.collector import Collector
    from ghosttrack_cli.interpretation.collect.example_table import ExampleTable
    from ghosttrack_cli.interpretation.features.weight_directions import Ranked
    from ghosttrack_cli.report.feature_flags import Flag
    from ghosttrack_cli.report.feature_schema import Answer
    from ghosttrack_cli.report.token_text import TokenTexts

ANSWERS: tuple[Answer | None, ...] = (None, "factual", "hallucinated")
TOKENS_SHOWN = 12


@dataclass(frozen=True)
class WeightFacts:
    """What the weights alone say; arrays by feature."""

    neighbours: Ranked
    promoted: Ranked
    suppressed: Ranked
    encoder_decoder_cosine: AnyArray


class FeatureBuilder:
    """Makes the reports of single features of one layer."""

    def __init__(self, collector: Collector, facts: WeightFacts, texts: TokenTexts) -> None:
        self._collector = collector
        self._facts = facts
        self._texts = texts
        self._token_rows = max(1, int(collector.tokens.unigrams.sum()))

    def feature(self, feature: int) -> FeatureReport:
        """Everything about one feature."""
        moments = self._collector.moments
        firings = int(moments.firings[feature])
        rate = feature_statistics.rate_of(firings, moments.rows)
        mean, std = feature_statistics.spread_of(
            firings, float(moments.total[feature]), float(moments.squares[feature])
        )
        examples, places = self._examples(feature)
        max_act = examples[places["top"][0]].act if places["top"] else 0.0
        tokens = self._tokens(feature, firings)
        neighbours = self._neighbours(feature)
        flags = self._flags(feature, rate, firings, tokens, neighbours)
        windows = int(moments.windows[feature])
        return FeatureReport(
            feature=feature,
            rows=moments.rows,
            firings=firings,
            rate=_rounded(rate.value),
            rate_low=_rounded(rate.low),
            rate_high=_rounded(rate.high),
            windows=windows,
            windows_seen=moments.windows_seen,
            max_act=max_act,
            mean_act=_rounded(mean),
            std_act=_rounded(std),
            telling=_rounded(feature_statistics.telling(tokens[:TOKENS_SHOWN], windows, flags)),
            flags=flags,
            examples=examples,
            top=places["top"],
            uniform=places["uniform"],
            weighted=places["weighted"],
            bands=self._bands(feature, examples, max_act) if firings else [],
            histogram=feature_statistics.trimmed(moments.histogram[feature], bin_edges()),
            positions=feature_statistics.position_bins(
                moments.by_position[feature], moments.rows_by_position, position_edges()
            ),
            tokens=tokens[:TOKENS_SHOWN],
            tokens_error=int(self._collector.tokens.errors[feature]),
            promoted=self._logits(self._facts.promoted, feature),
            suppressed=self._logits(self._facts.suppressed, feature),
            neighbours=neighbours,
            encoder_decoder_cosine=_rounded(float(self._facts.encoder_decoder_cosine[feature])),
        )

    def _flags(
        self,
        feature: int,
        rate: feature_statistics.Rate,
        firings: int,
        tokens: list[FiringToken],
        neighbours: list[Neighbour],
    ) -> list[Flag]:
        moments = self._collector.moments
        by_position = moments.by_position[feature]
        return feature_statistics.flags_of(
            rate, firings, tokens, by_position, moments.rows_by_position, neighbours
        )

    def _examples(self, feature: int) -> tuple[list[Example], dict[str, list[int]]]:
        """The examples of all three tables, each once, and where each table's are in the list."""
        examples: list[Example] = []
        place_of: dict[int, int] = {}
        places: dict[str, list[int]] = {}
        for name, table in self._collector.tables.items():
            places[name] = []
            for slot in table.best_first(feature):
                example = self._example(table, feature, int(slot))
                if example.row not in place_of:
                    place_of[example.row] = len(examples)
                    examples.append(example)
                places[name].append(place_of[example.row])
        return examples, places

    def _example(self, table: ExampleTable, feature: int, slot: int) -> Example:
        held = {name: array[feature, slot] for name, array in table.arrays().items()}
        inside = np.flatnonzero(held["tokens"] >= 0)
        ids = held["tokens"][inside].tolist()
        acts = [_rounded(act, 4) for act in held["window_acts"][inside].tolist()]
        peak = int(table.side - inside[0])
        firing = {peak, *(place for place, act in enumerate(acts) if act > 0)}
        return Example(
            ids=ids,
            texts=self._texts.row(ids, firing),
            acts=acts,
            peak=peak,
            act=_rounded(float(held["acts"])),
            document=int(held["documents"]),
            position=int(held["positions"]),
            row=int(held["rows"]),
            answer=ANSWERS[int(held["answers"])],
        )

    def _bands(self, feature: int, examples: list[Example], highest: float) -> list[Band]:
        """Equal shares of the firings by activation, strongest first, with the examples in each."""
        counts = self._collector.moments.histogram[feature]
        edges = feature_statistics.band_edges(counts, bin_edges(), highest)
        acts = np.array([example.act for example in examples])
        band_of = np.searchsorted(edges[1:-1], acts, side="right")
        strongest_first = np.argsort(-acts, kind="stable")
        return [
            Band(
                low=_rounded(float(edges[band])),
                high=_rounded(float(edges[band + 1])),
                examples=[int(i) for i in strongest_first if band_of[i] == band],
            )
            for band in reversed(range(feature_statistics.BANDS))
        ]

    def _tokens(self, feature: int, firings: int) -> list[FiringToken]:
        """The tokens that are held, most telling first."""
        held = self._collector.tokens
        slots = np.flatnonzero(held.counts[feature])
        return feature_statistics.most_telling_first(
            self._token(int(held.tokens[feature, slot]), int(held.counts[feature, slot]), firings)
            for slot in slots
        )

    def _token(self, token: int, count: int, firings: int) -> FiringToken:
        occurrences = int(self._collector.tokens.unigrams[token])
        share = count / firings
        return FiringToken(
            id=token,
            text=self._texts.one(token),
            count=count,
            occurrences=occurrences,
            p_token_given_fires=_rounded(share),
            p_fires_given_token=_rounded(count / occurrences),
            lift=_rounded(share * self._token_rows / occurrences),
        )

    def _logits(self, ranked: Ranked, feature: int) -> list[LogitEntry]:
        return [
            LogitEntry(id=token, text=self._texts.one(token), logit=_rounded(logit))
            for token, logit in zip(
                ranked.indices[feature].tolist(), ranked.values[feature].tolist(), strict=True
            )
        ]

    def _neighbours(self, feature: int) -> list[Neighbour]:
        ranked, cofires = self._facts.neighbours, self._collector.cofiring.counts[feature]
        return [
            Neighbour(feature=other, cosine=_rounded(cosine), cofires=int(count))
            for other, cosine, count in zip(
                ranked.indices[feature].tolist(),
                ranked.values[feature].tolist(),
                cofires,
                strict=True,
            )
        ]


def _rounded(value: float, digits: int = 6) -> float:
    return float(f"{value:.{digits}g}")
