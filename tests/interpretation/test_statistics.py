"""Rates, bands and flags against figures worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghosttrack_cli.interpretation.collect.contrast import benjamini_hochberg, sign_test
from ghosttrack_cli.interpretation.collect.moments import bin_edges, position_edges, value_bins
from ghosttrack_cli.interpretation.features import feature_statistics
from ghosttrack_cli.report.feature_schema import FiringToken, Neighbour


def test_wilson_bounds_as_in_the_tables() -> None:
    rate = feature_statistics.rate_of(8, 10)
    assert rate.value == 0.8
    assert (rate.low, rate.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_a_feature_that_never_fired_has_a_bound() -> None:
    assert feature_statistics.rate_of(0, 60_000).high == 5e-5
    assert feature_statistics.rate_of(0, 0).high == 1.0


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_bounds_enclose_the_rate(firings: int, rows: int) -> None:
    rate = feature_statistics.rate_of(min(firings, rows), rows)
    assert 0 <= rate.low <= rate.value <= rate.high <= 1


def test_a_feature_that_fires_everywhere_alike_has_one_rate_at_all_positions() -> None:
    """Octaves hold ever more rows, so that the counts rise where the rate does not."""
    rows = np.array([0, 10, 20, 40, 80, 0])
    found = feature_statistics.position_bins(rows // 10, rows, np.array([0, 1, 2, 4, 8, 16, 32]))
    assert found.edges == [1, 2, 4, 8, 16]
    assert (found.counts, found.rows) == ([1, 2, 4, 8], [10, 20, 40, 80])
    assert found.rates == [0.1] * 4


def test_positions_without_firings_keep_their_rows() -> None:
    found = feature_statistics.position_bins(
        np.array([0, 6]), np.array([3, 8]), np.array([0, 1, 2])
    )
    assert (found.rows, found.rates) == ([3, 8], [0, 0.75])
    dead = feature_statistics.position_bins(np.zeros(2, int), np.array([3, 8]), np.array([0, 1, 2]))
    assert dead.edges == dead.counts == dead.rows == dead.rates == []


@given(st.lists(st.floats(0.5, 100, width=32), min_size=1, max_size=100))
@settings(max_examples=50, deadline=None)
def test_bands_hold_equal_shares_to_within_a_bin(values: list[float]) -> None:
    acts = np.array(values, np.float32)
    counts = np.bincount(value_bins(acts), minlength=96)
    edges = feature_statistics.band_edges(counts, bin_edges(), float(acts.max()))
    assert len(edges) == feature_statistics.BANDS + 1
    assert (np.diff(edges) >= -1e-9).all()
    assert edges[-1] == pytest.approx(float(acts.max()))
    wanted = np.linspace(0, len(acts), feature_statistics.BANDS + 1)
    below = np.array([(acts < edge).sum() for edge in edges])
    up_to = np.array([(acts <= edge).sum() for edge in edges])
    assert (below - counts.max() <= wanted).all()
    assert (wanted <= up_to + counts.max()).all()


def test_histogram_loses_its_empty_ends() -> None:
    counts = np.array([0, 0, 3, 0, 1, 0])
    trimmed = feature_statistics.trimmed(counts, np.arange(7))
    assert trimmed.edges == [2, 3, 4, 5]
    assert trimmed.counts == [3, 0, 1]


def firing_token(share: float, lift: float, text: str = "a") -> FiringToken:
    return FiringToken(
        id=0,
        text=text,
        count=1,
        occurrences=1,
        p_token_given_fires=share,
        p_fires_given_token=1,
        lift=lift,
    )


def test_a_frequent_token_needs_more_than_its_share() -> None:
    tokens = [
        firing_token(0.5, 1.2, " the"),  # 0.5 log 1.2 = 0.09
        firing_token(0.3, 0.8, " of"),  # less than its share: below all others
        firing_token(0.2, 50, " meet"),  # 0.2 log 50 = 0.78
        firing_token(0.05, 400, " met"),  # 0.05 log 400 = 0.30
    ]
    ranked = feature_statistics.most_telling_first(tokens)
    assert [token.text for token in ranked] == [" meet", " met", " the", " of"]


def flags(**changes: Any) -> list[str]:
    given: dict[str, Any] = {
        "firings": 100,
        "rows": 10_000,
        "share": 0.5,
        "by_position": [0, 25, 25, 25, 25],
        "cosine": 0.2,
    } | changes
    return list(
        feature_statistics.flags_of(
            feature_statistics.rate_of(given["firings"], given["rows"]),
            given["firings"],
            [firing_token(given["share"], 1)],
            np.array(given["by_position"]),
            np.array([0, 10, 20, 40, 80]),
            [Neighbour(feature=1, cosine=given["cosine"])],
        )
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"firings": 0}, ["dead"]),
        ({"firings": 20, "rows": 1_000_000}, ["rare"]),
        ({"rows": 900}, ["dense"]),
        ({"share": 0.95}, ["single-token"]),
        ({"share": 0.95, "firings": 9}, []),
        ({"by_position": [0, 95, 5, 0, 0]}, ["position-bound"]),
        ({"by_position": [0, 0, 0, 5, 95]}, []),  # most rows are there
        ({"cosine": 0.91}, ["duplicate"]),
    ],
)
def test_each_flag_has_its_border(changes: dict[str, Any], expected: list[str]) -> None:
    assert flags(**changes) == expected


def test_positions_have_octaves() -> None:
    assert position_edges()[:6].tolist() == [0, 1, 2, 4, 8, 16]


def test_sign_test_of_nine_wins_in_ten() -> None:
    assert sign_test(9, 1) == pytest.approx(22 / 1024)
    assert sign_test(1, 9) == sign_test(9, 1)
    assert sign_test(0, 0) == 1.0
    assert sign_test(900, 0) == pytest.approx(2.0**-899)


def test_benjamini_hochberg_by_hand() -> None:
    corrected = benjamini_hochberg([0.01, 0.04, 0.03, 0.5])
    assert corrected.tolist() == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])


@given(st.lists(st.floats(0, 1), max_size=50))
def test_correction_keeps_order_and_never_lowers(p_values: list[float]) -> None:
    corrected = benjamini_hochberg(p_values)
    assert (corrected >= np.array(p_values) - 1e-12).all()
    order = np.argsort(p_values)
    assert (np.diff(corrected[order]) >= 0).all()
