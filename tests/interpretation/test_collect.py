"""The collector equals brute force, whatever the batches, blocks, shards and interruptions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghosttrack_cli.interpretation.collect import firing_tokens
from ghosttrack_cli.interpretation.collect.moments import bin_edges, value_bins
from ghosttrack_cli.interpretation.collect.sampling import uniform_keys, weighted_keys

if TYPE_CHECKING:
    import numpy.typing as npt

    from ghosttrack_cli.interpretation.collect.collector import Collector

quick = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SEED, KEPT, SIDE = 7, 4, 2


def state(collector: Collector) -> dict[str, Any]:
    """What a collector knows, with the slots of its tables in order of their keys."""
    known: dict[str, Any] = dict(collector.counters())
    for name, array in collector.arrays().items():
        known[name] = array.tolist()
    for name, table in collector.tables.items():
        for feature in range(collector.shape.d_hidden):
            slots = table.best_first(feature)
            for field, array in table.arrays().items():
                known.pop(f"{name}.{field}", None)
                known[f"{name}.{field}.{feature}"] = array[feature][slots].tolist()
    return known


def fired(planted: Any, feature: int) -> npt.NDArray[np.int64]:
    """Counted rows on which a feature fires."""
    return np.flatnonzero((planted.acts[:, feature] > 0) & planted.rows.counted)


@pytest.mark.parametrize("windows_a_batch", [1, 3, 1000])
@pytest.mark.parametrize("block", [2, 1000])
def test_counts_and_sums_equal_brute_force(
    make_planted: Any, collect: Any, windows_a_batch: int, block: int
) -> None:
    planted = make_planted(1)
    moments = collect(planted, windows_a_batch=windows_a_batch, block=block).moments
    assert moments.rows == planted.rows.counted.sum()
    assert moments.windows_seen == len(set(planted.rows.windows[planted.rows.counted]))
    for feature in range(planted.d_hidden):
        where = fired(planted, feature)
        acts = planted.acts[where, feature].astype(float)
        assert moments.firings[feature] == len(where)
        assert moments.total[feature] == pytest.approx(acts.sum())
        assert moments.squares[feature] == pytest.approx((acts**2).sum())
        assert moments.windows[feature] == len(set(planted.rows.windows[where]))
        counts, _ = np.histogram(acts, bin_edges())
        assert moments.histogram[feature].tolist() == counts.tolist()


@pytest.mark.parametrize(
    ("windows", "windows_a_batch"), [(20, 1), (20, 3), (20, 1000), (200, 1000)]
)
def test_samples_equal_brute_force(
    make_planted: Any, collect: Any, windows: int, windows_a_batch: int
) -> None:
    """200 windows at once hold far more equal activations than a table keeps."""
    planted = make_planted(2, windows=windows)
    collector = collect(planted, windows_a_batch=windows_a_batch)
    for feature in range(planted.d_hidden):
        where = fired(planted, feature)
        numbers, acts = planted.rows.numbers[where], planted.acts[where, feature]
        same = np.full(len(where), feature)
        keys = {
            "top": acts.astype(float),
            "uniform": uniform_keys(SEED, numbers, same),
            "weighted": weighted_keys(SEED, numbers, same, acts.astype(float)),
        }
        for name, table in collector.tables.items():
            order = sorted(range(len(where)), key=lambda i, k=keys[name]: (-k[i], numbers[i]))  # type: ignore[misc]
            if name == "top":
                order = one_a_window(order, planted.rows.windows[where])
            expected = where[order[:KEPT]]
            slots = table.best_first(feature)
            assert table.arrays()["rows"][feature][slots].tolist() == (
                planted.rows.numbers[expected].tolist()
            )
            for slot, row in zip(slots, expected, strict=True):
                check_window(planted, table.arrays(), feature, int(slot), int(row))


def one_a_window(order: list[int], windows: npt.NDArray[np.int64]) -> list[int]:
    seen: set[int] = set()
    return [i for i in order if windows[i] not in seen and not seen.add(int(windows[i]))]  # type: ignore[func-returns-value]


def check_window(planted: Any, table: Any, feature: int, slot: int, row: int) -> None:
    rows = planted.rows
    for offset in range(-SIDE, SIDE + 1):
        token = table["tokens"][feature, slot, SIDE + offset]
        act = table["window_acts"][feature, slot, SIDE + offset]
        at = row + offset
        if 0 <= at < len(rows) and rows.windows[at] == rows.windows[row]:
            assert token == rows.token_ids[at]
            assert act == planted.acts[at, feature] * rows.kept[at]
        else:
            assert (token, act) == (-1, 0)
    assert table["documents"][feature, slot] == rows.documents[row]
    assert table["positions"][feature, slot] == rows.positions[row]


def test_cofiring_equals_brute_force(make_planted: Any, collect: Any) -> None:
    planted = make_planted(3)
    counts = collect(planted, windows_a_batch=2, block=2).cofiring.counts
    active = (planted.acts > 0) & planted.rows.counted[:, None]
    for feature, row in enumerate(planted.neighbours()):
        assert counts[feature].tolist() == [
            int((active[:, feature] & active[:, other]).sum()) for other in row
        ]


def test_firing_tokens_are_exact_while_they_fit(make_planted: Any, collect: Any) -> None:
    planted = make_planted(4, windows=6)
    tokens = collect(planted, windows_a_batch=2).tokens
    assert tokens.errors.tolist() == [0] * planted.d_hidden
    counted = planted.rows.token_ids[planted.rows.counted]
    assert tokens.unigrams.tolist() == np.bincount(counted, minlength=40).tolist()
    for feature in range(planted.d_hidden):
        expected = Counter(planted.rows.token_ids[fired(planted, feature)].tolist())
        held = zip(tokens.tokens[feature].tolist(), tokens.counts[feature].tolist(), strict=True)
        assert {token: count for token, count in held if count} == dict(expected)


@quick
@given(seed=st.integers(0, 2**32), density=st.floats(0.05, 1), size=st.sampled_from([2, 4, 6]))
def test_state_does_not_depend_on_batches(
    make_planted: Any, collect: Any, seed: int, density: float, size: int
) -> None:
    planted = make_planted(seed, density=density)
    whole = state(collect(planted))
    assert state(collect(planted, windows_a_batch=size, block=2)) == whole


@quick
@given(seed=st.integers(0, 2**32), cut=st.integers(1, 5))
def test_saved_and_restored_state_goes_on_as_if_never_stopped(
    make_planted: Any, collect: Any, new_collector: Any, seed: int, cut: int
) -> None:
    planted = make_planted(seed)
    border = planted.borders(1)[2 * cut]
    first = collect(planted.part(0, border), finish=False)
    resumed = new_collector(planted)
    arrays = {name: array.copy() for name, array in first.arrays().items()}
    resumed.restore(first.counters(), arrays)
    rest = planted.part(border, len(planted.rows))
    assert state(collect(rest, collector=resumed)) == state(collect(planted))


@quick
@given(seed=st.integers(0, 2**32), cut=st.integers(1, 5))
def test_shards_merge_into_the_whole(make_planted: Any, collect: Any, seed: int, cut: int) -> None:
    planted = make_planted(seed)
    border = planted.borders(1)[2 * cut]  # both answers of a question lie in one shard
    parts = [collect(planted.part(0, border)), collect(planted.part(border, len(planted.rows)))]
    for first, second in (parts, parts[::-1]):
        merged = collect(planted.part(0, 0), collector=copy_of(first, collect, planted))
        merged.merge(second)
        whole = state(collect(planted))
        for name, value in state(merged).items():
            assert approximately(value, whole[name]), name


def copy_of(collector: Collector, collect: Any, planted: Any) -> Collector:
    fresh: Collector = collect(planted.part(0, 0))
    fresh.restore(collector.counters(), {name: a.copy() for name, a in collector.arrays().items()})
    return fresh


def approximately(value: Any, expected: Any) -> bool:
    if isinstance(value, list) and value and isinstance(value[0], float):
        return bool(value == pytest.approx(expected))
    return bool(value == expected)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30)), min_size=1, max_size=200),
    st.integers(1, 4),
)
@settings(max_examples=50, deadline=None)
def test_counts_of_tokens_are_low_by_at_most_the_error(
    firings: list[tuple[int, int]], counters: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(firing_tokens, "COUNTERS", counters)
        summary = firing_tokens.FiringTokens(2, 31)
        for start in range(0, len(firings), 7):
            part = np.array(firings[start : start + 7], np.int64)
            ones = np.ones(len(part), np.int64)
            summary._reduce(summary._sum([firing_tokens.Counts(part[:, 0], part[:, 1], ones)]))
    for feature in (0, 1):
        exact = Counter(token for owner, token in firings if owner == feature)
        held = dict(
            zip(summary.tokens[feature].tolist(), summary.counts[feature].tolist(), strict=True)
        )
        error = int(summary.errors[feature])
        assert error <= sum(exact.values()) / (counters + 1)
        for token, count in exact.items():
            assert count - error <= held.get(token, 0) <= count


@given(st.floats(2.0**-10, 2.0**13, width=32))
@settings(max_examples=100, deadline=None)
def test_histogram_bins_follow_their_edges(value: float) -> None:
    edges = bin_edges()
    index = int(value_bins(np.array([value], np.float32))[0])
    assert edges[index] <= np.float32(value) < edges[index + 1]


def test_weighted_sample_prefers_strong_events_in_proportion() -> None:
    rows = np.arange(2000)
    zeros = np.zeros(2000, np.int64)
    first = [
        int(weighted_keys(seed, rows[:4], zeros[:4], np.array([1.0, 2, 3, 4])).argmax())
        for seed in range(4000)
    ]
    shares = np.bincount(first, minlength=4) / 4000
    assert shares == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.03)


def test_uniform_keys_look_uniform_along_rows_and_features() -> None:
    rows, features = np.arange(20_000), np.zeros(20_000, np.int64)
    for keys in (uniform_keys(0, rows, features), uniform_keys(0, features, rows)):
        assert np.sort(keys) == pytest.approx(np.arange(20_000) / 20_000, abs=0.02)
        assert abs(np.corrcoef(keys[1:], keys[:-1])[0, 1]) < 0.03


def test_memory_does_not_grow_with_the_rows(
    make_planted: Any, collect: Any, new_collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firing_tokens, "ROWS_A_SPAN", 64)
    sizes = []
    for windows in (40, 400):
        planted = make_planted(5, windows=windows)
        collector = collect(planted, windows_a_batch=4, finish=False)
        arrays = collector.arrays()
        pending = sum(arrays[name].nbytes for name in arrays if ".pending_" in name)
        assert pending <= 64 * 2 * planted.d_hidden * 4 * 8  # a span and what a batch adds to it
        sizes.append(sum(array.nbytes for array in arrays.values()) - pending)
    assert sizes[0] == sizes[1]
