"""Answers to one question side by side, with the activations of a feature that tells them apart.

Which features tell true from false is known when the pass is over, and no pass could keep the text
of all answers for all features; so the questions go through the model once more, for those features
only. N rows of a batch, P paired features, T tokens of a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ghosttrack_cli.interpretation.collect.events import FACTUAL, HALLUCINATED, NO_ANSWER
from ghosttrack_cli.interpretation.parts import ANSWERS
from ghosttrack_cli.machine import signals
from ghosttrack_cli.monitor import Progress
from ghosttrack_cli.report.contrast_schema import AnswerPair, TokenActs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ghosttrack_cli.interpretation.collect.arrays import (
        BoolArray,
        DoubleArray,
        IntArray,
        SingleArray,
    )
    from ghosttrack_cli.interpretation.collect.events import Rows
    from ghosttrack_cli.interpretation.collect.layer_pass import LayerPass
    from ghosttrack_cli.interpretation.collect.row_batch import RowBatch, RowSource
    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.report.contrast_schema import Contrast
    from ghosttrack_cli.report.token_text import TokenTexts
    from ghosttrack_cli.site import AnySite

PAIRED_FEATURES = 100
PAIRS = 3
MOST_TOKENS = 96


def compare_answers(
    source: RowSource, passes: Sequence[LayerPass], texts: TokenTexts, rows: int, monitor: Monitor
) -> dict[AnySite, Contrast | None]:
    """The comparison of each layer, with answer pairs for its first PAIRED_FEATURES features.

    Raises:
        Stopped: a signal came.
    """
    found = {one.layer: one.collector.contrast.result() for one in passes}
    finders = {
        one.layer: PairFinder(one, [entry.feature for entry in contrast.entries], texts)
        for one in passes
        if (contrast := found[one.layer]) is not None
    }
    if finders:
        _read_again(source, finders, rows, monitor)
    return {
        layer: contrast and with_pairs(contrast, finders[layer].pairs())
        for layer, contrast in found.items()
    }


def _read_again(
    source: RowSource, finders: dict[AnySite, PairFinder], rows: int, monitor: Monitor
) -> None:
    monitor.begin(ANSWERS)
    done = 0
    for batch in source.batches(list(finders), None):
        for finder in finders.values():
            finder.update(batch)
        done += len(batch.rows)
        monitor.progress(Progress(ANSWERS.name, done, max(rows, done), "tokens"))
        signals.raise_if_stopped(monitor.stop_signal)


def with_pairs(contrast: Contrast, pairs: dict[int, list[AnswerPair]]) -> Contrast:
    """The same comparison with the pairs of the features that have some."""
    entries = [
        entry.model_copy(update={"pairs": pairs.get(entry.feature, [])})
        for entry in contrast.entries
    ]
    return contrast.model_copy(update={"entries": entries})


class PairFinder:
    """Keeps, for the first features, the PAIRS questions whose answers differ most in rate."""

    def __init__(self, one: LayerPass, features: Sequence[int], texts: TokenTexts) -> None:
        self._pass = one
        self._texts = texts
        self._features = list(features[:PAIRED_FEATURES])
        self._found: list[list[tuple[float, AnswerPair]]] = [[] for _ in self._features]

    @torch.inference_mode()
    def update(self, batch: RowBatch) -> None:
        """Take in one batch; the rows of a question are all in it."""
        x = batch.x[self._pass.layer]  # (N, D)
        rows = batch.rows.masked(self._pass.keep(batch, x)[0])
        acts = np.where(rows.kept[:, None], self._encode(x), 0)  # (N, P)
        for question in np.unique(rows.questions[rows.answers != NO_ANSWER]).tolist():
            self._offer(_Question(question, rows), acts)

    def pairs(self) -> dict[int, list[AnswerPair]]:
        """The pairs of each feature, the largest difference first."""
        return {
            feature: [pair for _, pair in found]
            for feature, found in zip(self._features, self._found, strict=True)
        }

    def _encode(self, x: Tensor) -> SingleArray:
        acts = self._pass.sae.encode_features(x, self._features)
        result: SingleArray = acts.float().cpu().numpy()
        return result

    def _offer(self, question: _Question, acts: SingleArray) -> None:
        factual, hallucinated = (question.rates(acts, side) for side in (FACTUAL, HALLUCINATED))
        differences = np.abs(factual - hallucinated)  # (P,)
        for place in np.flatnonzero(differences > 0).tolist():
            found, difference = self._found[place], float(differences[place])
            if len(found) == PAIRS and difference <= found[-1][0]:
                continue
            pair = question.pair(acts[:, place], self._texts, factual[place], hallucinated[place])
            found.append((difference, pair))
            found.sort(key=lambda one: -one[0])
            del found[PAIRS:]


class _Question:
    """The rows of one question in a batch."""

    def __init__(self, number: int, rows: Rows) -> None:
        self.number = number
        self._rows = rows
        self._of_question: BoolArray = rows.questions == number
        self._answers = {
            side: np.flatnonzero(self._of_question & (rows.answers == side))
            for side in (FACTUAL, HALLUCINATED)
        }

    def rates(self, acts: SingleArray, side: int) -> DoubleArray:
        """The share of an answer's counted rows on which each feature fires, (P,)."""
        answer = self._answers[side]
        counted = answer[self._rows.counted[answer]]
        if len(counted) == 0:
            return np.full(acts.shape[1], np.nan)
        rates: DoubleArray = (acts[counted] > 0).mean(axis=0)
        return rates

    def pair(
        self, acts: SingleArray, texts: TokenTexts, factual: float, hallucinated: float
    ) -> AnswerPair:
        """Both answers with activations acts (N,) of one feature."""
        rows, first = self._rows, self._answers[FACTUAL]
        window = np.flatnonzero(rows.windows == rows.windows[first[0]])
        opening = window[(rows.answers[window] == NO_ANSWER) & (rows.positions[window] > 0)]
        shown = [_tokens(part, rows, acts, texts) for part in (opening, *self._answers.values())]
        return AnswerPair(
            question=self.number,
            opening=shown[0],
            factual=shown[1],
            hallucinated=shown[2],
            rate_factual=float(f"{factual:.6g}"),
            rate_hallucinated=float(f"{hallucinated:.6g}"),
        )


def _tokens(part: IntArray, rows: Rows, acts: SingleArray, texts: TokenTexts) -> TokenActs:
    shown = part[:MOST_TOKENS]
    ids = rows.token_ids[shown].tolist()
    return TokenActs(
        ids=ids,
        texts=texts.row(ids),
        acts=[float(f"{act:.4g}") for act in acts[shown].tolist()],
        left_out=len(part) - len(shown),
    )
