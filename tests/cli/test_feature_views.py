"""Features in the terminal: every number beside the rows behind it, the text as it was."""

from __future__ import annotations

from typing import Any

from ghosttrack_cli.cli.actions.drawing import example_line
from ghosttrack_cli.cli.actions.feature_view import feature_blocks
from ghosttrack_cli.cli.terminal.output import Table, plain, plain_table
from ghosttrack_cli.report.contrast_schema import Contrast, ContrastEntry
from ghosttrack_cli.report.feature_schema import (
    Example,
    FeatureReport,
    FiringToken,
    Histogram,
    Neighbour,
    PositionBins,
)

HOSTILE = "\x1b[31m\u202e[red]:smile:"


def feature(**changes: Any) -> FeatureReport:
    example = Example(
        ids=[1, 2, 3],
        texts=["a", HOSTILE, "b"],
        acts=[0.0, 0.1234, 0.05],
        peak=1,
        act=0.1234,
        document=0,
        position=1,
        row=1,
    )
    token = FiringToken(
        id=2,
        text=HOSTILE,
        count=30,
        occurrences=1200,
        p_token_given_fires=0.75,
        p_fires_given_token=0.025,
        lift=25.0,
    )
    fields: dict[str, Any] = {
        "feature": 7,
        "rows": 40_000,
        "firings": 40,
        "rate": 0.001,
        "rate_low": 0.00073,
        "rate_high": 0.00136,
        "windows": 30,
        "windows_seen": 300,
        "max_act": 0.1234,
        "mean_act": 0.08,
        "std_act": 0.01,
        "telling": 1.5,
        "flags": [],
        "examples": [example],
        "top": [0],
        "uniform": [0],
        "weighted": [0],
        "bands": [],
        "histogram": Histogram(edges=[0.1, 0.2], counts=[40]),
        "positions": PositionBins(edges=[1, 2], counts=[40], rows=[400], rates=[0.1]),
        "tokens": [token],
        "tokens_error": 0,
        "promoted": [],
        "suppressed": [],
        "neighbours": [Neighbour(feature=9, cosine=0.5, cofires=17)],
        "encoder_decoder_cosine": 0.9,
    }
    return FeatureReport.model_validate(fields | changes)


def contrast() -> Contrast:
    entry = ContrastEntry(
        feature=7,
        rate_factual=0.02,
        rate_hallucinated=0.01,
        answers_factual=60,
        answers_hallucinated=40,
        more_factual=50,
        more_hallucinated=20,
        effect=0.3,
        p_value=0.001,
        p_corrected=0.004,
    )
    return Contrast(
        questions=100,
        rows_factual=5000,
        rows_hallucinated=4000,
        tested=1,
        significant=1,
        entries=[entry],
    )


def text_of(one: FeatureReport, compared: Contrast | None = None) -> str:
    lines: list[str] = []
    for block in feature_blocks(6, one, contrast=compared):
        lines += plain_table(block) if isinstance(block, Table) else [plain(block)]
    return "\n".join(lines)


def test_numbers_stand_beside_the_rows_behind_them() -> None:
    text = text_of(feature(), contrast())
    assert "fires on 40 of 40,000 rows: 0.100% (0.0730% to 0.136%), in 30 of 300 windows" in text
    assert "factual answers 2.00% of 5,000 rows, on hallucinated 1.00% of 4,000" in text
    assert "more on 50 against 20 of 100 questions, p 0.00400 corrected" in text
    (tokens,) = [line.split() for line in text.splitlines() if "75.0%" in line]
    assert tokens[-5:] == ["30", "75.0%", "1,200", "2.50%", "25.0"]
    assert "9 (0.500, 17 rows)" in text
    assert "answers" not in text_of(feature())


def test_a_dead_feature_says_over_how_many_rows() -> None:
    dead = {"firings": 0, "examples": [], "top": [], "tokens": [], "rate_high": 3 / 40_000}
    assert "never fired in 40,000 rows: below 0.00750% with 95%" in text_of(feature(**dead))


def test_hostile_tokens_are_inert_and_small_activations_tell_apart() -> None:
    text = text_of(feature())
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[red]:smile:" in text
    (example,) = feature().examples
    assert plain(example_line(example, 0.1234)).split()[0] == "0.123"


def test_a_model_without_a_lens_is_said() -> None:
    assert "promotes    not known for this model" in text_of(feature(promoted=[], suppressed=[]))
