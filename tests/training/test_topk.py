"""TopK: its step by hand and against autograd, what it finds, and that a stop changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.training.outcomes import LAYER, StopAfter, elsewhere, ending

from ghosttrack_cli import files
from ghosttrack_cli.errors import Stopped, UsageError
from ghosttrack_cli.sae.registry import load_sae
from ghosttrack_cli.sae.topk import TopKSAE
from ghosttrack_cli.training.engines import cpu_sparse
from ghosttrack_cli.training.engines import entry_lists as at_entries
from ghosttrack_cli.training.engines.cpu import CpuEngine
from ghosttrack_cli.training.engines.cpu_sparse import gradients
from ghosttrack_cli.training.engines.entry_lists import Scratch, find_largest
from ghosttrack_cli.training.step.objective import (
    Gradients,
    Objective,
    Weights,
    dense_gradients,
    project,
)
from ghosttrack_cli.training.step.settings import StepSettings
from ghosttrack_cli.training.step.state import initial_state
from ghosttrack_cli.training.step.thresholds import next_bias, next_threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.training.conftest import Bench

K = 5


def objective(k: int = K) -> Objective:
    return Objective("topk", target_l0=float(k), bandwidth=0.1, slope=1.0)


def case(rows: int = 37, D: int = 16, F: int = 200) -> tuple[Weights, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    W_dec = torch.randn(F, D, generator=generator)
    W_dec /= W_dec.norm(dim=1, keepdim=True)
    weights = Weights(
        W_enc=torch.randn(D, F, generator=generator),
        b_enc=torch.randn(F, generator=generator) / 10,
        W_dec=W_dec,
        b_dec=torch.randn(D, generator=generator) / 20,
        threshold=torch.full((F,), 3.0),
    )
    return weights, torch.randn(rows, D, generator=generator)


def test_a_step_by_hand() -> None:
    """Two rows, three features, k = 1; W_enc and W_dec are the identity and b_dec is (1, 0, 0).

    h is the row. Of (5, 4, 3) the 5 fires, of (0.5, 2, 1) the 2: reconstructions (6, 0, 0) and
    (1, 2, 0), errors (1, -4, -3) and (0.5, 0, -1); 2 / B is 1, so dE/dx_hat are the errors.
    """
    weights = Weights(
        W_enc=torch.eye(3),
        b_enc=torch.zeros(3),
        W_dec=torch.eye(3),
        b_dec=torch.tensor([1.0, 0.0, 0.0]),
        threshold=torch.full((3,), 100.0),
    )
    x = torch.tensor([[5.0, 4.0, 3.0], [0.5, 2.0, 1.0]])
    found = dense_gradients(weights, x, 0.0, objective(1))
    assert found.figures.l0.item() == 1.0
    assert found.figures.recon_loss.item() == pytest.approx((1 + 16 + 9 + 0.25 + 0 + 1) / 2)
    assert found.figures.sparsity_loss.item() == 0.0
    assert found.fired.tolist() == [True, True, False]
    assert found.cut is not None
    assert found.cut.item() == pytest.approx((4 + 1) / 2)  # what had to be exceeded, on average
    # dE/df is 1 for the entry that fires in the first row, 0 for that in the second.
    assert found.weights.W_enc.T.tolist() == [[5.0, 4.0, 3.0], [0.0] * 3, [0.0] * 3]
    assert found.weights.b_enc.tolist() == [1.0, 0.0, 0.0]
    # 5 (1, -4, -3) and 2 (0.5, 0, -1), without what would only change the length of their rows.
    assert found.weights.W_dec.tolist() == [[0.0, -20.0, -15.0], [1.0, 0.0, -2.0], [0.0] * 3]
    assert found.weights.b_dec.tolist() == [1.5, -4.0, -4.0]
    assert found.weights.threshold.tolist() == [0.0, 0.0, 0.0]


def by_autograd(weights: Weights, x: torch.Tensor, k: int) -> dict[str, torch.Tensor]:
    """Gradients by torch alone, with an activation that scatters what `topk` gives."""
    leaves = {name: w.clone().requires_grad_() for name, w in weights._asdict().items()}
    h = x @ leaves["W_enc"] + leaves["b_enc"]
    best = h.topk(k, dim=1)
    acts = torch.zeros_like(h).scatter(1, best.indices, best.values.relu())
    recon = acts @ leaves["W_dec"] + leaves["b_dec"]
    (recon - x).square().sum(dim=1).mean().backward()
    found = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    return found | {"W_dec": project(found["W_dec"], weights.W_dec)}


def dense(weights: Weights, x: torch.Tensor) -> Gradients:
    return dense_gradients(weights, x, 0.0, objective())


def sparse(weights: Weights, x: torch.Tensor) -> Gradients:
    return gradients(weights, x, 0.0, objective(), Scratch())


@pytest.mark.parametrize("rows", [1, 37, 256])
@pytest.mark.parametrize("way", ["dense", "sparse", "blocks"])
def test_gradients_equal_those_of_autograd(
    way: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, x = case(rows)
    if way == "blocks":
        monkeypatch.setattr(cpu_sparse, "DENSE_ENTRIES", 7 * 200)
        monkeypatch.setattr(at_entries, "MAX_ENTRIES", 1)
    found = dense(weights, x) if way == "dense" else sparse(weights, x)
    for name, expected in by_autograd(weights, x, K).items():
        torch.testing.assert_close(
            getattr(found.weights, name), expected, atol=1e-4, rtol=1e-4, msg=name
        )
    assert found.figures.l0.item() == K
    h = x @ weights.W_enc + weights.b_enc
    assert torch.equal(found.fired, (h.topk(K).values[:, -1:] <= h).any(dim=0))
    assert found.cut is not None
    assert found.cut.item() == pytest.approx(h.topk(K + 1).values[:, -1].mean().item(), rel=1e-5)


def test_the_largest_of_each_row_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, x = case()
    x[3] = 0
    weights = weights._replace(b_enc=weights.b_enc.clamp(max=0))  # nothing fires in the fourth row
    whole = find_largest(weights, x, K, Scratch())
    monkeypatch.setattr(at_entries, "BLOCK_ENTRIES", 5 * 200)
    blocks = find_largest(weights, x, K, Scratch())
    assert whole is not None
    assert blocks is not None
    h = x @ weights.W_enc + weights.b_enc
    expected = (h >= h.topk(K).values[:, -1:]) & (h > 0)
    for found in (whole, blocks):
        places = torch.stack([found.rows, found.features], dim=1).long()
        assert torch.equal(places, expected.nonzero())
        torch.testing.assert_close(found.h, h[expected])
        assert found.starts.tolist() == [K * row - K * (row > 3) for row in range(len(x))]


def test_where_many_fire_all_are_computed() -> None:
    """A tenth of all entries is no longer few."""
    weights, x = case(F=40)
    assert find_largest(weights, x, 4, Scratch()) is not None
    assert find_largest(weights, x, K, Scratch()) is None
    torch.testing.assert_close(sparse(weights, x).weights, dense(weights, x).weights)


def test_the_bias_of_a_quiet_feature_closes_the_gap_until_it_fires() -> None:
    """It has to exceed 2 on average; its threshold, which nothing reads, is the mean of that."""
    settings = StepSettings(objective(), gradient_clip=1.0, revive_rows=100)
    state = initial_state(4, 3, 2.0, seed=0)
    state.quiet_rows.copy_(torch.tensor([100, 99, 100]))
    biases = torch.tensor([-1.0, -1.0, 2.5])
    found = next_bias(biases, state, 0.75, settings)
    # -1 + (1 - 0.75) (2 - -1); the second is not quiet yet, the third is above already.
    assert found.tolist() == [-0.25, -1.0, 2.5]
    state.step.fill_(0)
    moved = next_threshold(state.weights.threshold, torch.tensor(1.0), state, 0.75, settings)
    assert moved.tolist() == [1.0, 1.0, 1.0]  # the first batch's own
    state.step.fill_(999)
    moved = next_threshold(state.weights.threshold, torch.tensor(1.0), state, 0.75, settings)
    torch.testing.assert_close(moved, torch.full((3,), 1.99))
    others = replace(settings, objective=replace(settings.objective, sparsity="batchtopk"))
    assert torch.equal(next_bias(biases, state, 0.75, others), biases)


def test_it_finds_planted_features_and_is_saved_as_topk(bench: Bench) -> None:
    bench.workspace = type(bench.workspace)(bench.workspace.root / "planted")
    bench.plant(10_000, D=64, F=64, active=3.0, seed=1)
    shape = {"d_hidden": 256, "target_l0": 3.0, "sparsity": "topk"}
    result = bench.trainer(sae=shape, epochs=12, learning_rate=0.005).run()
    sae = load_sae(bench.workspace.sae(LAYER, "final"))
    assert isinstance(sae, TopKSAE)
    assert sae.k == 3
    decoder = torch.nn.functional.normalize(sae.W_dec, dim=1)
    cosines = (torch.from_numpy(bench.directions) @ decoder.T).amax(dim=1)
    assert (cosines > 0.95).double().mean().item() >= 0.95
    assert result.history["train_sparsity"][-1] <= 3.0
    assert 2.5 < result.metrics["l0"] <= 3.0
    progress = files.read_sealed(bench.workspace.training_progress(LAYER))
    assert progress["calibration"] is None, "k is k on other rows too"
    best = load_sae(bench.workspace.sae(LAYER, "best"))
    assert torch.equal(best.W_enc, sae.W_enc)


TOPK: dict[str, Any] = {"sparsity": "topk"}


def test_ten_and_ten_steps_are_twenty(bench: Bench) -> None:
    straight, stopped = elsewhere(bench, "straight"), elsewhere(bench, "stopped")
    bench.trainer(workspace=straight, sae=TOPK).run()
    for steps in (10, 1, 13):
        with pytest.raises(Stopped):
            bench.trainer(workspace=stopped, sae=TOPK, stop=StopAfter(steps)).run()
    bench.trainer(workspace=stopped, sae=TOPK).run()
    assert ending(straight) == ending(stopped)


class Killed(BaseException):
    """The process is gone."""


def dying_at(step: int, whole: Callable[..., None]) -> Callable[..., None]:
    def take(engine: CpuEngine, raw: torch.Tensor) -> None:
        if int(engine.state.step) == step:
            raise Killed
        whole(engine, raw)

    return take


def test_a_killed_training_ends_with_the_same_bits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quiet features are lifted meanwhile, and the gap to close is part of the state."""
    given: dict[str, Any] = {"sae": TOPK, "checkpoint_steps": 4, "revive_rows": 300}
    straight, killed = elsewhere(bench, "straight"), elsewhere(bench, "killed")
    bench.trainer(workspace=straight, **given).run()
    whole = CpuEngine.step
    for step in (7, 23):
        monkeypatch.setattr(CpuEngine, "step", dying_at(step, whole))
        with pytest.raises(Killed):
            bench.trainer(workspace=killed, **given).run()
    monkeypatch.setattr(CpuEngine, "step", whole)
    bench.trainer(workspace=killed, **given).run()
    assert "layer 3: resuming at step 20 of 42" in bench.notices
    assert ending(straight) == ending(killed)


def test_k_is_a_whole_number_below_the_number_of_features(bench: Bench) -> None:
    with pytest.raises(UsageError, match=r"4\.5 requested, .* a whole number") as caught:
        bench.trainer(sae={**TOPK, "target_l0": 4.5}).run()
    assert caught.value.hint == "--target-l0 4"
    with pytest.raises(UsageError, match="cannot be reached with d_hidden = 96"):
        bench.trainer(sae={**TOPK, "target_l0": 96.0}, target_sparsity_max=96.0).run()
