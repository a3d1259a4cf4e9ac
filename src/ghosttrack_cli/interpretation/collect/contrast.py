"""Which features fire more on factual, which more on hallucinated answers to the same questions.

F d_hidden, Q questions. For each question and feature, the rate is the share of the answer's rows
on which the feature fires, so that a longer answer does not count for more. The sign test asks
whether one of the two answers has the higher rate more often than a coin would decide; it is exact
and assumes independent questions, nothing about the rates. Corrected after Benjamini and Hochberg
1995 over the features that fired on any answer.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.interpretation.collect.events import FACTUAL, HALLUCINATED, NO_ANSWER
from ghosttrack_cli.report.contrast_schema import Contrast, ContrastEntry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ghosttrack_cli.interpretation.collect.arrays import AnyArray, DoubleArray, IntArray
    from ghosttrack_cli.interpretation.collect.events import Events, Rows

SIGNIFICANT = 0.05
SIDES = (FACTUAL, HALLUCINATED)


class ContrastSums:
    """Streamed sums over questions that have both answers on counted rows."""

    def __init__(self, d_hidden: int) -> None:
        self.questions = 0
        self.rows = np.zeros(2, np.int64)
        self.hits = np.zeros((2, d_hidden), np.int64)
        self.answers = np.zeros((2, d_hidden), np.int64)
        self.higher = np.zeros((2, d_hidden), np.int64)

    def count_rows(self, rows: Rows) -> None:
        """Count a batch's questions and rows, once for all blocks."""
        questions, lengths = _answer_lengths(rows)
        self.questions += len(questions)
        self.rows += lengths.sum(axis=1)

    def update(self, events: Events, rows: Rows) -> None:
        """Add the counted events of a block; a question's rows are all in this batch."""
        questions, lengths = _answer_lengths(rows)
        if len(questions) == 0:
            return
        features, place, hits = _hits(events, rows, questions)  # (P,), (P,), (2, P)
        rates = hits / lengths[:, place]
        difference = rates[0] - rates[1]
        for side in range(2):
            np.add.at(self.hits[side], features, hits[side])
            np.add.at(self.answers[side], features, hits[side] > 0)
        np.add.at(self.higher[0], features, difference > 0)
        np.add.at(self.higher[1], features, difference < 0)

    def merge(self, other: ContrastSums) -> None:
        """Add what another collector has seen on other questions."""
        self.questions += other.questions
        theirs = other.arrays()
        for name, mine in self.arrays().items():
            np.add(mine, theirs[name], out=mine)

    def arrays(self) -> dict[str, AnyArray]:
        """The state but for `questions`."""
        names = ("rows", "hits", "answers", "higher")
        return {name: getattr(self, name) for name in names}

    def restore(self, arrays: Mapping[str, AnyArray]) -> None:
        """Take the state that `arrays` gave."""
        for name, array in self.arrays().items():
            array[...] = arrays[name]

    def result(self) -> Contrast | None:
        """The comparison of all features that fired on an answer; None without questions."""
        if self.questions == 0:
            return None
        tested = np.flatnonzero(self.answers.any(axis=0))
        p_values = np.array([sign_test(*self.higher[:, feature].tolist()) for feature in tested])
        corrected = benjamini_hochberg(p_values)
        entries = [
            self._entry(int(feature), float(p), float(q))
            for feature, p, q in zip(tested, p_values, corrected, strict=True)
        ]
        entries.sort(key=lambda entry: (entry.p_corrected, -abs(entry.effect), entry.feature))
        return Contrast(
            questions=self.questions,
            rows_factual=int(self.rows[0]),
            rows_hallucinated=int(self.rows[1]),
            tested=len(tested),
            significant=int((corrected < SIGNIFICANT).sum()),
            entries=entries,
        )

    def _entry(self, feature: int, p_value: float, p_corrected: float) -> ContrastEntry:
        factual, hallucinated = (self.hits[:, feature] / self.rows.clip(1)).tolist()
        more_factual, more_hallucinated = self.higher[:, feature].tolist()
        return ContrastEntry(
            feature=feature,
            rate_factual=factual,
            rate_hallucinated=hallucinated,
            answers_factual=int(self.answers[0, feature]),
            answers_hallucinated=int(self.answers[1, feature]),
            more_factual=more_factual,
            more_hallucinated=more_hallucinated,
            effect=(more_factual - more_hallucinated) / self.questions,
            p_value=p_value,
            p_corrected=p_corrected,
        )


def _answer_lengths(rows: Rows) -> tuple[IntArray, IntArray]:
    """Questions with rows of both answers, (Q,), and how many rows each answer has, (2, Q)."""
    here = rows.counted & (rows.answers != NO_ANSWER)
    questions, place = np.unique(rows.questions[here], return_inverse=True)
    lengths: IntArray = np.stack(
        [np.bincount(place[rows.answers[here] == side], minlength=len(questions)) for side in SIDES]
    )
    both = (lengths > 0).all(axis=0)
    return questions[both], lengths[:, both]


def _hits(events: Events, rows: Rows, questions: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Each (feature, question) with a firing: feature, place of the question, hits by answer."""
    place = np.searchsorted(questions, rows.questions).clip(max=len(questions) - 1)
    compared = (rows.answers != NO_ANSWER) & (questions[place] == rows.questions)
    keep = compared[events.columns]
    columns = events.columns[keep]
    pairs = events.features[keep] * len(questions) + place[columns]
    unique, which = np.unique(pairs, return_inverse=True)
    answers = rows.answers[columns]
    hits = [np.bincount(which[answers == side], minlength=len(unique)) for side in SIDES]
    features, places = np.divmod(unique, len(questions))
    return features, places, np.stack(hits)


def sign_test(wins: int, losses: int) -> float:
    """The exact two-sided p-value of so many wins and losses under a fair coin; ties are left out.

    >>> sign_test(5, 0), sign_test(3, 3)
    (0.0625, 1.0)
    """
    return _two_sided(wins + losses, min(wins, losses))


@cache
def _two_sided(n: int, tail: int) -> float:
    ways = outcomes = 1
    for k in range(tail):
        ways = ways * (n - k) // (k + 1)
        outcomes += ways
    return min(1.0, float(2 * outcomes / 2**n))


def benjamini_hochberg(p_values: Sequence[float] | DoubleArray) -> DoubleArray:
    """The smallest false discovery rates at which each hypothesis would be rejected, (n,)."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(-p, kind="stable")
    scaled = p[order] * len(p) / np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum.accumulate(scaled).clip(max=1.0) if len(p) else scaled
    return corrected
