"""Learning rate and sparsity weight over the steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghosttrack_cli.settings.schema import SAETrainingSettings
from ghosttrack_cli.training.step.schedule import Schedule


def of(total: int, **changes: object) -> Schedule:
    settings = SAETrainingSettings.model_validate(changes)
    return Schedule.of(settings, total, peak=2.0, weight=3.0)


def test_linear_decay_by_hand() -> None:
    schedule = of(100, warmup_fraction=0.1, decay_fraction=0.2)
    assert [schedule.learning_rate(s) for s in (0, 4, 9, 10, 80)] == [0.2, 1.0, 2.0, 2.0, 2.0]
    assert schedule.learning_rate(90) == pytest.approx(1.0)
    assert schedule.learning_rate(99) == pytest.approx(0.1)


def test_cosine_by_hand() -> None:
    schedule = of(100, schedule="cosine", warmup_fraction=0.0)
    assert schedule.learning_rate(0) == 2.0
    assert schedule.learning_rate(50) == pytest.approx(1.0)
    assert schedule.learning_rate(100) == pytest.approx(0.0)


def test_the_sparsity_weight_rises_and_stays() -> None:
    schedule = of(100, sparsity_warmup_fraction=0.1)
    assert schedule.sparsity_weight(0) == pytest.approx(0.3)
    assert schedule.sparsity_weight(9) == schedule.sparsity_weight(99) == 3.0
    assert of(100, sparsity_warmup_fraction=0.0).sparsity_weight(0) == 3.0


@given(
    total=st.integers(1, 10**6),
    share=st.floats(0, 1, exclude_max=True),
    kind=st.sampled_from(["linear-decay", "cosine"]),
    data=st.data(),
)
def test_rates_are_positive_and_never_above_the_peak(
    total: int, share: float, kind: str, data: st.DataObject
) -> None:
    schedule = of(total, schedule=kind, warmup_fraction=share, decay_fraction=0.5)
    step = data.draw(st.integers(0, total - 1))
    assert 0 < schedule.learning_rate(step) <= 2.0
    assert 0 < schedule.sparsity_weight(step) <= 3.0


def test_the_controls_say_the_share_of_the_peak_rate() -> None:
    schedule = of(100, warmup_fraction=0.0, decay_fraction=0.2)
    assert schedule.controls(0).share == pytest.approx(1)
    assert schedule.controls(90).share == pytest.approx(1 / 2)
