"""One step against a NumPy Adam, and the fused step against the written one."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from ghosttrack_cli.settings.schema import SAETrainingSettings
from ghosttrack_cli.training.engines.cpu_dense import fused_update
from ghosttrack_cli.training.step.objective import Objective, dense_gradients
from ghosttrack_cli.training.step.schedule import Controls, Schedule
from ghosttrack_cli.training.step.settings import Betas, Moves, Rates, StepSettings
from ghosttrack_cli.training.step.state import State, by_columns, initial_state
from ghosttrack_cli.training.step.thresholds import next_bias, next_threshold, quiet_decay
from ghosttrack_cli.training.step.update import update

SETTINGS = StepSettings(
    Objective("target", target_l0=3.0, bandwidth=0.05, slope=1.0),
    gradient_clip=0.5,
    revive_rows=1000,
    moves=Moves(Rates(b_enc=0.5, W_dec=2.0, threshold=0.25), Betas(0.8, 0.98), following=0.5),
    weight_decay=0.1,
)


def train_step(
    state: State, x: torch.Tensor, controls: torch.Tensor, settings: StepSettings
) -> None:
    """One batch `x` (B, D), written out, as every engine takes it."""
    gradients = dense_gradients(state.weights, x, controls[1], settings.objective)
    update(state, gradients, controls, x.shape[0], settings)


def state_and_batches(steps: int = 3) -> tuple[State, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    state = initial_state(8, 24, 0.1, seed=4)
    return state, [torch.randn(16, 8, generator=generator) for _ in range(steps)]


def schedule() -> Schedule:
    return Schedule.of(SAETrainingSettings(), 100, peak=0.01, weight=1.0)


def test_the_step_equals_a_numpy_adam() -> None:
    state, batches = state_and_batches()
    weights = {n: w.double().numpy().copy() for n, w in state.weights._asdict().items()}
    first = {n: np.zeros_like(w) for n, w in weights.items()}
    second = {n: np.zeros_like(w) for n, w in weights.items()}
    for step, x in enumerate(batches):
        W_dec = weights["W_dec"].copy()
        controls = schedule().controls(step)
        gradients = dense_gradients(state.weights, x, controls[1], SETTINGS.objective).weights
        named = {n: g.double().numpy() for n, g in gradients._asdict().items()}
        norm = np.sqrt(sum((g**2).sum() for g in named.values()))
        for name, gradient in named.items():
            g = gradient * min(1.0, 0.5 / norm)
            first[name] = 0.8 * first[name] + 0.2 * g
            second[name] = 0.98 * second[name] + 0.02 * g**2
            change = first[name] / (1 - 0.8 ** (step + 1))
            change = change / (np.sqrt(second[name] / (1 - 0.98 ** (step + 1))) + 1e-8)
            rate = controls[0] * {"b_enc": 0.5, "W_dec": 2.0, "threshold": 0.25}.get(name, 1.0)
            if name in {"W_enc", "W_dec"}:
                weights[name] *= 1 - rate * 0.1
            weights[name] -= rate * change
        weights["threshold"] = np.maximum(weights["threshold"], 0)
        weights["W_dec"] /= np.linalg.norm(weights["W_dec"], axis=1, keepdims=True)
        weights["W_enc"] += 0.5 * (weights["W_dec"] - W_dec).T
        train_step(state, x, torch.tensor(controls), SETTINGS)
        for name, weight in state.weights._asdict().items():
            np.testing.assert_allclose(weight.numpy(), weights[name], atol=2e-5, err_msg=name)
    assert state.step.item() == 3


def test_the_fused_step_equals_the_written_one() -> None:
    state, batches = state_and_batches(20)
    other = by_columns(copy.deepcopy(state))
    for step, x in enumerate(batches):
        controls = schedule().controls(step)
        gradients = dense_gradients(state.weights, x, controls[1], SETTINGS.objective)
        same = dense_gradients(other.weights, x, controls[1], SETTINGS.objective)
        update(state, gradients, torch.tensor(controls), 16, SETTINGS)
        fused_update(other, same, controls, 16, SETTINGS)
    for name, tensor in state.tensors().items():
        torch.testing.assert_close(other.tensors()[name], tensor, atol=1e-4, rtol=1e-3, msg=name)


def test_an_encoder_column_turns_with_its_decoder_row() -> None:
    """With a learning rate for W_dec alone, W_enc moves by the share that it follows."""
    state, batches = state_and_batches(1)
    before = copy.deepcopy(state.weights)
    alone = Rates(W_enc=0.0, b_enc=0.0, W_dec=1.0, b_dec=0.0, threshold=0.0)
    settings = replace(SETTINGS, moves=Moves(alone, following=0.25), weight_decay=0.0)
    train_step(state, batches[0], torch.tensor(schedule().controls(50)), settings)
    turned = state.weights.W_dec - before.W_dec
    assert turned.norm() > 0.01
    torch.testing.assert_close(state.weights.W_enc - before.W_enc, 0.25 * turned.T)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e25])
@pytest.mark.parametrize("kind", ["written", "fused"])
def test_a_step_that_is_not_sound_changes_nothing_but_halted(kind: str, value: float) -> None:
    state, batches = state_and_batches()
    state = by_columns(state)
    controls = schedule().controls(0)

    def step(x: torch.Tensor) -> None:
        gradients = dense_gradients(state.weights, x, controls[1], SETTINGS.objective)
        if kind == "fused":
            fused_update(state, gradients, controls, 16, SETTINGS)
        else:
            update(state, gradients, torch.tensor(controls), 16, SETTINGS)

    step(batches[0])
    before = copy.deepcopy(state.tensors())
    bad = batches[1].clone()
    bad[3, 2] = value
    step(bad)
    step(batches[2])  # nothing is taken any more after a refusal
    after = state.tensors()
    assert after.pop("halted").item() is True
    before.pop("halted")
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_threshold_follows_the_cuts_of_the_batches() -> None:
    state, _ = state_and_batches()
    state.weights.threshold.fill_(7.0)
    for cut in (1.0, 2.0, 6.0):
        moved = next_threshold(torch.zeros(24), torch.tensor(cut), state, 1.0, SETTINGS)
        state.weights.threshold.copy_(moved)
        state.step.add_(1)
    assert state.weights.threshold.tolist() == pytest.approx([3.0] * 24)
    state.step.fill_(10_000)
    late = next_threshold(torch.zeros(24), torch.tensor(4.0), state, 1.0, SETTINGS)
    assert late.tolist() == pytest.approx([3.01] * 24)


def test_a_threshold_falls_e_fold_in_twice_the_patience() -> None:
    assert quiet_decay(1.0, 2000, SETTINGS) == pytest.approx(1)
    assert quiet_decay(0.5, 16, SETTINGS) == pytest.approx(0.5 * 16 / 2000)


def test_a_threshold_falls_while_its_feature_is_quiet() -> None:
    """Feature 0 has been quiet for long, feature 1 for a row less than it takes."""
    state, _ = state_and_batches()
    state.quiet_rows[0], state.quiet_rows[1] = 1000, 999
    moved = next_threshold(torch.full((24,), 0.5), None, state, 0.9, SETTINGS)
    assert moved[:3].tolist() == pytest.approx([0.45, 0.5, 0.5])


def test_a_bias_that_holds_a_feature_back_shrinks_when_the_threshold_was_not_enough() -> None:
    """Features 0 and 1 have been quiet for long, but only the bias of 0 is below 0."""
    state, _ = state_and_batches()
    state.quiet_rows[:3] = torch.tensor([4000, 4000, 3999])
    bias = torch.tensor([-0.5, 0.5, *[-0.5] * 22])
    moved = next_bias(bias, state, 0.9, SETTINGS)
    assert moved[:4].tolist() == pytest.approx([-0.45, 0.5, -0.5, -0.5])


@pytest.mark.parametrize("kind", ["written", "fused"])
def test_a_feature_whose_bias_is_far_below_every_row_fires_again(kind: str) -> None:
    state, batches = state_and_batches()
    state = by_columns(state)
    state.weights.b_enc[5] = -100.0
    opening = Controls(0.0, 0.0, 20.0)  # only what revives: 16 rows take 15 % off
    for _ in range(300):
        gradients = dense_gradients(state.weights, batches[0], 0.0, SETTINGS.objective)
        if kind == "fused":
            fused_update(state, gradients, opening, 16, SETTINGS)
        else:
            update(state, gradients, torch.tensor(opening), 16, SETTINGS)
        if state.step.item() == 250:
            assert state.weights.b_enc[5].item() == pytest.approx(-100.0)
    assert bool(gradients.fired[5])


def test_gates_that_are_not_trained_stay() -> None:
    state, _ = state_and_batches()
    state.quiet_rows.fill_(10**9)
    fixed = replace(SETTINGS, objective=replace(SETTINGS.objective, sparsity="l1"))
    moved = next_threshold(torch.full((24,), 0.5), None, state, 0.9, fixed)
    assert moved.tolist() == [0.5] * 24
    assert next_bias(torch.full((24,), -0.5), state, 0.9, fixed).tolist() == [-0.5] * 24


def test_quiet_rows_count_since_a_feature_fired() -> None:
    state, batches = state_and_batches(2)
    state.weights.b_enc[5] = -1e6  # feature 5 never fires
    state.weights.b_enc[6] = 1e3  # feature 6 always does
    for x in batches:
        train_step(state, x, torch.tensor(Controls(0.0, 0.0, 0.0)), SETTINGS)
    assert state.quiet_rows[5].item() == 32
    assert state.quiet_rows[6].item() == 0


def test_decoder_rows_stay_on_the_unit_sphere() -> None:
    state, batches = state_and_batches(5)
    for step, x in enumerate(batches):
        train_step(state, x, torch.tensor(schedule().controls(step)), SETTINGS)
    lengths = state.weights.W_dec.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
