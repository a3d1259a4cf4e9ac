"""A planted difference between answers is found, chance is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ghosttrack_cli.interpretation.collect.contrast import ContrastSums
from ghosttrack_cli.interpretation.collect.events import Events, Rows

QUESTIONS, LENGTH, FEATURES = 60, 5, 30


def rows_of_questions(first: int, count: int) -> Rows:
    """Two answers of LENGTH rows for each question."""
    n = count * 2 * LENGTH
    question = np.repeat(np.arange(first, first + count), 2 * LENGTH)
    everything = np.ones(n, bool)
    return Rows(
        token_ids=np.zeros(n, np.int64),
        numbers=np.arange(n),
        windows=np.arange(n) // LENGTH,
        documents=np.arange(n) // LENGTH,
        positions=np.arange(n) % LENGTH,
        kept=everything,
        counted=everything,
        answers=np.tile(np.repeat([1, 2], LENGTH), count),
        questions=question,
    )


def events_of(acts: Any) -> Events:
    features, columns = np.nonzero(acts.T)
    return Events(features, columns, acts.T[features, columns].astype(np.float32))


@pytest.fixture(scope="module")
def acts() -> Any:
    """Feature 0 fires on factual answers only, 1 on hallucinated only, 2 never, others anywhere."""
    rng = np.random.default_rng(0)
    rows = rows_of_questions(0, QUESTIONS)
    acts = rng.random((len(rows), FEATURES)) < 0.2
    acts[:, 0] &= rows.answers == 1
    acts[:, 1] &= rows.answers == 2
    acts[:, 2] = False
    return acts


@pytest.mark.parametrize("batch", [1, 7, QUESTIONS])
def test_planted_features_come_first(acts: Any, batch: int) -> None:
    sums = ContrastSums(FEATURES)
    for first in range(0, QUESTIONS, batch):
        rows = rows_of_questions(first, min(batch, QUESTIONS - first))
        start = first * 2 * LENGTH
        sums.update(events_of(acts[start : start + len(rows)]), rows)
        sums.count_rows(rows)
    contrast = sums.result()
    assert contrast is not None
    assert {entry.feature for entry in contrast.entries[:2]} == {0, 1}
    assert (contrast.questions, contrast.tested, contrast.significant) == (60, 29, 2)
    assert contrast.rows_factual == contrast.rows_hallucinated == QUESTIONS * LENGTH
    entry = next(entry for entry in contrast.entries if entry.feature == 0)
    answers = acts[:, 0].reshape(QUESTIONS, 2, LENGTH)
    assert entry.answers_factual == entry.more_factual == answers[:, 0].any(axis=1).sum()
    assert entry.rate_factual == pytest.approx(answers[:, 0].mean())
    assert entry.rate_hallucinated == entry.answers_hallucinated == entry.more_hallucinated == 0
    assert entry.effect == entry.more_factual / QUESTIONS
    assert entry.p_value == pytest.approx(2.0 ** (1 - entry.more_factual))


def test_a_question_without_both_answers_is_left_out() -> None:
    rows = rows_of_questions(0, 2)
    one_sided = rows.masked(~((rows.questions == 1) & (rows.answers == 2)))
    sums = ContrastSums(1)
    sums.update(events_of(np.ones((len(rows), 1))), one_sided)
    sums.count_rows(one_sided)
    assert sums.questions == 1
    assert sums.hits.tolist() == [[LENGTH], [LENGTH]]


def test_texts_without_answers_give_no_contrast() -> None:
    assert ContrastSums(3).result() is None
