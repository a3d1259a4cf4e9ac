"""What training gives: planted features back, the target L0, folded weights, files."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.training.outcomes import elsewhere, tree

from ghosttrack_cli import files
from ghosttrack_cli.errors import StateError, TrainingError, UsageError
from ghosttrack_cli.penalties import PENALTIES
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.settings.schema import ORIGINAL_PRESET, SAESettings, SAETrainingSettings
from ghosttrack_cli.store.read.row_order import split_documents
from ghosttrack_cli.training import final_sae
from ghosttrack_cli.training.api import train_sae_for_layer
from ghosttrack_cli.training.measure import guard
from ghosttrack_cli.training.measure.calibrate import count_ratios
from ghosttrack_cli.training.measure.guard import check_entry, dying
from ghosttrack_cli.training.plan.plan import plan_training
from ghosttrack_cli.training.plan.recipe import Recipe
from ghosttrack_cli.training.records.checkpoint import load_checkpoint
from ghosttrack_cli.training.records.history import History
from ghosttrack_cli.training.session import Session
from ghosttrack_cli.training.step.settings import PLAIN, Rates
from ghosttrack_cli.training.targets import good_fvu
from ghosttrack_cli.training.trainer import Trainer
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from tests.training.conftest import Bench
    from torch import Tensor

    from ghosttrack_cli.training.measure.calibrate import Calibration
    from ghosttrack_cli.training.measure.evaluate import Evaluation

LAYER = 3
SEED_KEYS = {
    "train_loss",
    "val_loss",
    "recon_loss",
    "sparsity_loss",
    "train_sparsity",
    "sparsity",
    "lr",
}


def test_planted_features_are_found_again(bench: Bench) -> None:
    bench.workspace = Workspace(bench.workspace.root / "planted")
    bench.plant(10_000, D=64, F=64, active=3.0, seed=1)
    shape = {"d_hidden": 256, "target_l0": 3.0}
    result = bench.trainer(sae=shape, epochs=16, learning_rate=0.005, evaluations=20).run()
    sae = JumpReLUSAE.load(bench.workspace.sae(LAYER, "final"))
    found = torch.nn.functional.normalize(sae.W_dec, dim=1)
    cosines = (torch.from_numpy(bench.directions) @ found.T).amax(dim=1)
    assert (cosines > 0.95).double().mean().item() >= 0.95
    assert result.metrics["fvu"] < 0.1
    assert result.metrics["l0"] == pytest.approx(3.0, rel=0.05)
    assert result.metrics["converged"] is True


def test_batchtopk_finds_them_too_and_is_saved_as_jumprelu(bench: Bench) -> None:
    bench.workspace = Workspace(bench.workspace.root / "planted")
    bench.plant(10_000, D=64, F=64, active=3.0, seed=1)
    shape = {"d_hidden": 256, "target_l0": 3.0, "sparsity": "batchtopk"}
    result = bench.trainer(sae=shape, epochs=16, learning_rate=0.005, evaluations=20).run()
    sae = JumpReLUSAE.load(bench.workspace.sae(LAYER, "final"))
    assert bool((sae.threshold == sae.threshold[0]).all())
    found = torch.nn.functional.normalize(sae.W_dec, dim=1)
    cosines = (torch.from_numpy(bench.directions) @ found.T).amax(dim=1)
    assert (cosines > 0.95).double().mean().item() >= 0.95
    assert result.metrics["l0"] == pytest.approx(3.0, rel=0.02)
    assert result.history["train_sparsity"][-1] == pytest.approx(3.0, rel=0.01)


def test_history_has_the_seeds_columns_and_ours(bench: Bench) -> None:
    result = bench.trainer().run()
    history = result.history
    assert history.keys() >= SEED_KEYS | {"step", "fvu", "mse", "dead_fraction"}
    assert {len(values) for values in history.values()} == {4}
    assert history["step"] == [10, 21, 32, 42]
    on_disk = files.read_sealed(bench.workspace.history(LAYER))
    assert on_disk == history
    lines = (bench.workspace.checkpoints / "sae_layer_3_metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == history["step"]
    assert history["train_rows"] == [256 * steps for steps in (10, 11, 11, 10)]
    assert history["val_rows"] == [result.metrics["rows"]] * 4
    assert history["val_loss"][-1] == pytest.approx(
        history["recon_loss"][-1] + history["sparsity_loss"][-1]
    )


def test_the_manifest_says_what_status_needs(bench: Bench) -> None:
    result = bench.trainer().run()
    progress = files.read_sealed(bench.workspace.training_progress(LAYER))
    assert progress["schema"] == 2
    assert (progress["state"], progress["step"], progress["total_steps"]) == ("finished", 42, 42)
    assert progress["metrics"] == result.metrics
    assert progress["metrics"].keys() >= {
        *("recon_loss", "fvu", "l0", "dead_fraction", "dead_rows", "mse", "rows", "converged")
    }
    mask = progress["mask"]
    assert mask["rows"] == 6_000
    assert mask["position_0"] == 188  # every 32nd row
    assert progress["train_rows"] + progress["val_rows"] == mask["kept"]
    assert progress["metrics"]["rows"] == progress["val_rows"]
    calibration = progress["calibration"]
    assert calibration.keys() >= {"factor", "fvu_before", "fvu_after", "heldout_l0_after"}


def test_progress_counts_tokens(bench: Bench) -> None:
    bench.trainer().run()
    steps = [report for report in bench.reports if report.part == "steps"]
    assert [report.done for report in steps[:2]] == [256, 512]
    assert steps[-1].done == steps[-1].total == 42 * 256
    assert {"loss", "L0", "FVU", "dead"} <= steps[-1].figures.keys()


def test_evaluations_look_at_as_many_rows_as_asked_and_the_end_at_all(bench: Bench) -> None:
    bench.trainer(evaluation_rows=100).run()
    history = files.read_sealed(bench.workspace.history(LAYER))
    assert history["val_rows"] == [100] * 4
    progress = files.read_sealed(bench.workspace.training_progress(LAYER))
    assert progress["metrics"]["rows"] == progress["val_rows"] > 100


def test_calibration_reaches_the_target_on_the_rows_it_sees(bench: Bench) -> None:
    bench.trainer().run()
    sae = JumpReLUSAE.load(bench.workspace.sae(LAYER, "best"))
    x = torch.from_numpy(bench.store().read(LAYER))
    for target in (2.0, 8.0):
        found = count_ratios(sae, torch.split(x, 1000)).calibration(target)
        assert found.reached(target)
        sae.threshold.mul_(found.factor)
        assert (sae.encode(x) > 0).sum().item() / len(x) == pytest.approx(found.l0_after, rel=1e-3)
        sae.threshold.div_(found.factor)


def test_the_saved_sae_works_on_raw_activations(bench: Bench) -> None:
    """Folded: the same acts, and scale times the reconstruction, as on scaled, centred rows."""
    bench.trainer().run()
    notices: list[str] = []
    folder = bench.workspace.sae(LAYER, "last")
    checkpoint = load_checkpoint(folder, notices.append, limit=10**7)
    assert checkpoint is not None
    progress = files.read_sealed(bench.workspace.training_progress(LAYER))
    weights = checkpoint.state.weights
    final = JumpReLUSAE.load(bench.workspace.sae(LAYER, "final"))
    scale, factor = progress["scale"], progress["calibration"]["factor"]
    x = torch.from_numpy(bench.store().read(LAYER)).double()
    keep = np.arange(len(x)) % 32 != 0
    documents = bench.store().doc_ids()
    train = keep & ~split_documents(documents, 0.05, 0)
    mean = x[train].mean(dim=0) * scale
    h = (x * scale - mean) @ weights.W_enc.double() + weights.b_enc
    acts = h * (h > weights.threshold * factor)
    recon = (acts @ weights.W_dec.double() + weights.b_dec + mean) / scale
    torch.testing.assert_close(final.encode(x.float()).double(), acts, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(final(x.float()).double(), recon, atol=1e-4, rtol=1e-4)
    assert (x[train] * scale).square().sum(dim=1).mean().item() == pytest.approx(1.0)


def test_best_lies_in_the_band_and_final_is_calibrated(bench: Bench) -> None:
    bench.trainer(epochs=30, learning_rate=0.01).run()
    about = json.loads((bench.workspace.sae(LAYER, "best") / "cfg.json").read_bytes())
    assert about["metadata"]["hook_name"] == "blocks.3.hook_resid_post"
    assert about["metadata"]["model"]["weights_sha256"] == "0" * 64
    progress = files.read_sealed(bench.workspace.training_progress(LAYER))
    history = files.read_sealed(bench.workspace.history(LAYER))
    best = history["step"].index(progress["best_step"])
    assert 2.0 <= history["sparsity"][best] <= 8.0
    assert progress["best"]["step"] == progress["best_step"]


@pytest.mark.parametrize("target", [1.5, 3.0, 6.0, 12.0])
@pytest.mark.parametrize("epochs", [1, 3])
def test_best_is_in_the_band_of_the_target_and_no_worse_than_final(
    bench: Bench, target: float, epochs: int
) -> None:
    free: dict[str, Any] = {"target_sparsity_min": None, "target_sparsity_max": None}
    result = bench.trainer(sae={"target_l0": target}, epochs=epochs, evaluations=12, **free).run()
    progress = files.read_sealed(bench.workspace.training_progress(LAYER))
    expected, best = progress["expected"], progress["best"]
    assert (expected["l0_min"], expected["l0_max"]) == (
        pytest.approx(target * 2 / 3),
        pytest.approx(target * 4 / 3),
    )
    kinds = {kind: bench.workspace.sae(LAYER, kind) for kind in ("best", "final")}
    x = held_out(bench)
    seen = {kind: evaluate_rows(JumpReLUSAE.load(folder), x) for kind, folder in kinds.items()}
    fvu, l0 = zip(seen["best"], seen["final"], strict=True)
    assert fvu[0] <= fvu[1] * (1 + 1e-6)
    assert l0[0] <= 1.02 * max(l0[1], target)
    assert best["step"] > 0.1 * result.steps


def held_out(bench: Bench) -> Tensor:
    """The held-out rows of the bench's store, but for position 0."""
    store = bench.store()
    keep = split_documents(store.doc_ids(), 0.05, 0) & (store.positions() != 0)
    return torch.from_numpy(store.read(LAYER)[keep])


def evaluate_rows(sae: JumpReLUSAE, x: Tensor) -> tuple[float, float]:
    """FVU and L0."""
    acts = sae.encode(x)
    error = (sae.decode(acts) - x).square().sum(dim=1).mean()
    variance = (x - x.mean(dim=0)).square().sum(dim=1).mean()
    return (error / variance).item(), (acts > 0).sum(dim=1).double().mean().item()


def test_what_is_good_falls_with_l0_and_width() -> None:
    assert good_fvu(75, 768, 4096) == pytest.approx(0.131, abs=0.001)
    assert good_fvu(16, 576, 2304) == pytest.approx(0.62 * 16**-0.35)
    assert good_fvu(0.1, 768, 4) == 1.0


def test_final_is_best_only_on_the_rows_that_the_others_were_seen_with(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A final SAE that is bad on them, and perfect on all rows, as if those were easier."""
    calibrated, ended = final_sae.calibrated, []

    def spoiled(session: Session, sae: JumpReLUSAE) -> tuple[Evaluation, Calibration]:
        ended.append(session.step)
        evaluation, calibration = calibrated(session, sae)
        sae.threshold.mul_(10)
        return replace(evaluation, metrics=replace(evaluation.metrics, fvu=0.0)), calibration

    offer = Session.offer

    def early(session: Session, sae: JumpReLUSAE, fvu: float, l0: float) -> None:
        if session.step < session.recipe.total_steps:
            offer(session, sae, fvu, min(l0, 4.0))

    monkeypatch.setattr(final_sae, "calibrated", spoiled)
    monkeypatch.setattr(Session, "offer", early)
    bench.trainer(evaluation_rows=100).run()
    progress = files.read_sealed(bench.workspace.training_progress(LAYER))
    assert progress["best_step"] < progress["step"] == ended[0]


def test_without_an_evaluation_in_the_band_best_is_final(bench: Bench) -> None:
    narrow: dict[str, Any] = {"target_sparsity_min": 4.0009, "target_sparsity_max": 4.0011}
    bench.trainer(sae={"target_l0": 4.001}, **narrow).run()  # 350 rows: no L0 is there
    assert any("'best' is the final SAE" in notice for notice in bench.notices)
    best = JumpReLUSAE.load(bench.workspace.sae(LAYER, "best"))
    final = JumpReLUSAE.load(bench.workspace.sae(LAYER, "final"))
    assert torch.equal(best.threshold, final.threshold)


def test_a_huge_learning_rate_stops_with_the_last_finite_state(bench: Bench) -> None:
    with pytest.raises(TrainingError, match="not finite or jumped") as caught:
        bench.trainer(learning_rate=1e30).run()
    assert "a learning_rate of 1e+30" in str(caught.value)
    assert caught.value.hint == ("ghosttrack train --layers 3 --learning-rate 0.003 --overwrite")
    checkpoint = load_checkpoint(
        bench.workspace.sae(LAYER, "last"), bench.notices.append, limit=10**7
    )
    assert checkpoint is not None
    assert all(bool(t.isfinite().all()) for t in checkpoint.state.tensors().values())
    progress = files.read_sealed(bench.workspace.training_progress(LAYER))
    assert progress["state"] == "failed"
    with pytest.raises(TrainingError):
        bench.trainer(learning_rate=1e30).run()


def test_the_original_preset_trains(bench: Bench) -> None:
    sae = bench.sae.model_copy(update=ORIGINAL_PRESET["sae"])
    bench.sae = SAESettings.model_validate(sae.model_dump())
    training = ORIGINAL_PRESET["sae_training"] | {"learning_rate": 1e-3}
    bench.training = bench.training.model_copy(update=training)
    result = bench.trainer(epochs=4).run()
    assert result.history["recon_loss"][-1] < 0.8 * result.history["recon_loss"][0]
    final = JumpReLUSAE.load(bench.workspace.sae(LAYER, "final"))
    assert torch.equal(final.threshold, torch.full((96,), 0.1))  # one threshold, never trained


@pytest.mark.parametrize(("sparsity", "weight"), [("l0", 0.03), ("tanh", 0.03), ("l1", 0.1)])
def test_a_stronger_penalty_is_sparser(bench: Bench, sparsity: str, weight: float) -> None:
    found = []
    for factor in (0.1, 1.0):
        sae = {"sparsity": sparsity, "lambda_sparse": factor * weight}
        result = bench.trainer(overwrite=True, sae=sae, epochs=6, learning_rate=0.01).run()
        found.append(result.metrics["l0"])
    assert found[1] < found[0]


def test_an_unreachable_target_is_refused(bench: Bench) -> None:
    with pytest.raises(UsageError, match="cannot be reached with d_hidden = 96"):
        bench.trainer(sae={"target_l0": None}, target_sparsity_max=200.0).run()


def test_features_that_went_quiet_come_back(bench: Bench) -> None:
    """As many features as there are planted ones, and a learning rate at which most die."""
    bench.workspace = Workspace(bench.workspace.root / "crowded")
    bench.plant(20_000, D=64, F=512)
    hard: dict[str, Any] = {
        "sae": {"d_hidden": 512, "target_l0": 4.0},
        "epochs": 20,
        "learning_rate": 0.015,
    }
    left = elsewhere(bench, "left")
    alone = bench.trainer(**hard, workspace=left, revive_rows=10**9).run().metrics
    revived = bench.trainer(**hard, revive_rows=5_000).run().metrics
    assert alone["dead_fraction"] > 0.5
    assert revived["dead_fraction"] < 0.05
    assert revived["fvu"] < 0.9 * alone["fvu"]
    assert revived["l0"] == pytest.approx(4.0, rel=0.02)


def test_a_wrong_width_and_a_missing_layer_are_refused(bench: Bench) -> None:
    with pytest.raises(UsageError, match="32 wide"):
        bench.trainer(sae={"d_model": 768}).run()
    bench.trainer().run()
    before = tree(bench.workspace)
    with pytest.raises(UsageError, match="32 wide"):
        bench.trainer(sae={"d_model": 768}, overwrite=True).run()
    assert tree(bench.workspace) == before
    with pytest.raises(StateError, match="layer 5 is not in the store"):
        Trainer(bench.store(), 5, bench.sae, bench.training, bench.workspace).run()


def test_collapse_stops_training(bench: Bench) -> None:
    bench.trainer().run()
    history = History(files.read_sealed(bench.workspace.history(LAYER)))
    entry = history.last() | {"dead_fraction": 0.95, "dead_rows": 200_000}
    with pytest.raises(TrainingError, match=r"collapsed: 95\.0% of the features") as caught:
        check_entry(LAYER, history, entry, bench.training, 0.1)
    assert "max_dead_fraction allows 90.0%" in str(caught.value)
    check_entry(LAYER, history, entry | {"dead_rows": 1000}, bench.training, 0.1)
    assert "70.0% of the features" in str(dying(LAYER, entry | {"dead_fraction": 0.7}))
    assert dying(LAYER, entry | {"dead_fraction": 0.3}) is None


def test_the_hint_of_a_collapse_names_the_learning_rate_that_was_set(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the last step, where the rate has decayed to next to nothing."""
    monkeypatch.setattr(guard, "JUDGED_DEAD_ROWS", 0)
    with pytest.raises(TrainingError, match="collapsed") as caught:
        bench.trainer(evaluations=1, learning_rate=0.0123, max_dead_fraction=-1.0).run()
    assert "a learning_rate of 0.0123" in str(caught.value)
    assert "--learning-rate 0.003 --overwrite" in str(caught.value.hint)


def test_divergence_stops_training(bench: Bench) -> None:
    history = History()
    good = dict.fromkeys(history.columns, 0.1)
    history.add(good)
    with pytest.raises(TrainingError, match="diverged"):
        check_entry(LAYER, history, good | {"recon_loss": 11.0}, bench.training, 0.1)
    with pytest.raises(TrainingError, match="not finite on held-out rows: fvu"):
        check_entry(LAYER, history, good | {"fvu": float("nan")}, bench.training, 0.1)


def test_patience_ends_training_early(bench: Bench) -> None:
    result = bench.trainer(epochs=40, evaluations=40, patience=2, learning_rate=0.05).run()
    assert result.steps < 40 * 21
    assert (
        bench.trainer(epochs=40, evaluations=40, patience=2, learning_rate=0.05).run().outcome
        == "already finished"
    )


def test_the_seeds_function(bench: Bench) -> None:
    save_dir = bench.workspace.root / "models"
    history = train_sae_for_layer(
        3, bench.workspace.root, save_dir, "cpu", sae=bench.sae, training=bench.training
    )
    assert history.keys() >= SEED_KEYS
    assert (save_dir / "sae_layer_3_best" / "sae_weights.safetensors").is_file()
    assert (save_dir / "sae_layer_3_history.json").is_file()
    again = train_sae_for_layer(
        3, bench.workspace.store, save_dir, "cpu", sae=bench.sae, training=bench.training
    )
    assert again == history


def test_a_grown_store_is_a_conflict_that_says_so(bench: Bench) -> None:
    bench.trainer().run()
    bench.plant(8_000)
    with pytest.raises(StateError, match=r"store\.rows: 6000 on disk, 8000 requested") as caught:
        bench.trainer().run()
    assert "--overwrite" in str(caught.value.hint)


def test_the_plan_says_steps_memory_and_what_resumes(bench: Bench) -> None:
    plan = plan_training(bench.store(), LAYER, bench.sae, bench.training, bench.workspace)
    assert (plan.state, plan.finished_steps, plan.total_steps) == ("new", 0, 44)
    assert plan.memory_bytes > 4 * 3 * 2 * 32 * 96
    bench.trainer().run()
    plan = plan_training(bench.store(), LAYER, bench.sae, bench.training, bench.workspace)
    assert (plan.state, plan.finished_steps, plan.total_steps) == ("finished", 42, 42)


@pytest.mark.parametrize(
    ("d_hidden", "d_model", "batch_size", "expected"),
    [
        (4096, 768, 4096, 0.04 / 8),
        (4 * 4096, 768, 4096, 0.04 / 16),  # features are half as often active
        (4096, 3072, 4096, 0.04 / 16),
        (4096, 768, 512, 0.04 / 16),
        (4096, 192, 512, 0.04 / 8),
        (4096, 768, 65_536, 0.04 / 8),  # no higher than where it was tried
    ],
)
def test_the_default_learning_rate(
    d_hidden: int, d_model: int, batch_size: int, expected: float
) -> None:
    def rate(learning_rate: float | None = None, **sae: Any) -> float:
        training = SAETrainingSettings(batch_size=batch_size, learning_rate=learning_rate)
        settings = SAESettings(d_hidden=d_hidden, target_l0=64, **sae)
        return Recipe.of(settings, training, d_model, 10**6).schedule.peak

    assert rate() == pytest.approx(expected)
    for sparsity, factor in (("batchtopk", 0.034), ("l1", 0.0225)):  # nothing is revived there
        assert rate(sparsity=sparsity) == pytest.approx(expected * factor / 0.04)
    assert rate(sparsity="topk") == rate()
    assert rate(learning_rate=0.002) == 0.002


def recipe_of(sae: dict[str, Any], rows: int = 600_000, **training: Any) -> Recipe:
    return Recipe.of(SAESettings(**sae), SAETrainingSettings(**training), 768, rows)


def test_a_feature_is_quiet_when_an_average_one_has_fired_40_times() -> None:
    def revive_rows(d_hidden: int, **training: Any) -> int:
        target = {} if "target_sparsity_min" in training else {"target_l0": 64}
        return recipe_of({"d_hidden": d_hidden, **target}, **training).revive_rows

    assert revive_rows(4096) == 40 * 64
    assert revive_rows(65_536) == 40 * 1024  # rarer features, more patience
    assert revive_rows(4096, revive_rows=7) == 7
    assert revive_rows(1000, target_sparsity_min=20, target_sparsity_max=30) == 1600


def test_evaluations_look_at_fewer_rows_than_are_trained_on_between_them() -> None:
    def evaluation_rows(rows: int, **training: Any) -> int:
        shape = {"epochs": 1, "batch_size": 1000, "evaluations": 20}
        return recipe_of({}, rows, **shape, **training).evaluation_rows

    assert evaluation_rows(600_000) == 8_192  # of 30,000 between two
    assert evaluation_rows(4_000_000) == 25_000
    assert evaluation_rows(200_000_000) == 65_536
    assert evaluation_rows(600_000, evaluation_rows=100) == 100


def test_the_weight_is_that_of_the_penalty_unless_it_is_set() -> None:
    weights = {name: recipe_of({"sparsity": name}).schedule.weight for name in PENALTIES}
    assert weights | {"target": 1.0, "l0": 0.001, "l1": 0.01, "tanh": 0.001} == weights
    assert recipe_of({"sparsity": "l0", "lambda_sparse": 0.5}).schedule.weight == 0.5
    assert recipe_of({"sparsity": "l0", "lambda_sparse": 0.0}).schedule.weight == 0.0


def test_steps_are_whole_batches_of_each_epoch() -> None:
    recipe = recipe_of({}, 10_000, batch_size=4096, epochs=3)
    assert (recipe.batch_size, recipe.epoch_steps, recipe.total_steps) == (4096, 2, 6)
    small = recipe_of({}, 1000, batch_size=4096, epochs=3)
    assert (small.batch_size, small.epoch_steps, small.total_steps) == (1000, 1, 3)


def test_thresholds_and_biases_move_less_the_more_features_share_a_row() -> None:
    def rates(target_l0: float) -> Rates:
        return recipe_of({"target_l0": target_l0}).moves.rates

    assert rates(20) == Rates(W_enc=0.7, W_dec=2.0, threshold=0.5, b_enc=0.2)
    assert rates(80) == Rates(W_enc=0.7, W_dec=2.0, threshold=0.125, b_enc=0.05)
    assert rates(2) == Rates(W_enc=0.7, W_dec=2.0)  # never above the learning rate


def test_l1_moves_the_weights_as_the_original_does() -> None:
    assert recipe_of({"sparsity": "l1"}).moves == PLAIN


def test_settings_of_training_have_their_bounds() -> None:
    with pytest.raises(ValueError, match="batch_size"):
        SAETrainingSettings(batch_size=0)
