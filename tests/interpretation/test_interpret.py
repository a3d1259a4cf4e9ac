"""The stage on a planted SAE, whose feature i fires exactly on token i."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.files import tree

from ghosttrack_cli.errors import (
    ConflictError,
    CorpusError,
    CorruptionError,
    ModelError,
    StateError,
    Stopped,
    UsageError,
)
from ghosttrack_cli.interpretation import jobs, stage
from ghosttrack_cli.interpretation.api import analyze_sae
from ghosttrack_cli.interpretation.parts import ROWS
from ghosttrack_cli.interpretation.prompt import explain_prompt, show_on_page
from ghosttrack_cli.interpretation.sources import text_source
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.monitor import SILENT, Monitor, Progress
from ghosttrack_cli.report.feature_schema import FeatureShard
from ghosttrack_cli.report.report_files import read_record
from ghosttrack_cli.report.schema import LayerReport, LayerSummary, OriginalRecord
from ghosttrack_cli.report.stored import layer_reports
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.settings.schema import CorpusSettings, InterpretationSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest
from ghosttrack_cli.training.records.manifest import write_progress

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.report.contrast_schema import Contrast
    from ghosttrack_cli.report.feature_schema import FeatureReport
    from ghosttrack_cli.workspace import Workspace

CONTEXT = 48


@pytest.fixture(autouse=True)
def _short_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PROBE_ROWS", 200)


@pytest.fixture
def text_file(tmp_path: Path, documents: list[str]) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    return path


@pytest.fixture
def run(planted_workspace: Workspace, planted_model_folder: Path, text_file: Path) -> Any:
    def run_stage(
        workspace: Workspace = planted_workspace, monitor: Monitor = SILENT, **changes: Any
    ) -> list[LayerSummary]:
        settings = InterpretationSettings.model_validate({"texts": str(text_file)} | changes)
        model = ModelSettings(name=str(planted_model_folder), device="cpu")
        corpus = CorpusSettings(min_characters=1)
        request = StageRequest(model, corpus, settings, workspace)
        return stage.interpret((0, 1), request, monitor)

    return run_stage


def windows_of(model: Any, documents: list[str]) -> list[list[int]]:
    """The tokens that are counted: without the one that opens the window."""
    step = CONTEXT - 1
    tokens = [model.tokenizer(text)["input_ids"] for text in documents]
    return [ids[at : at + step] for ids in tokens for at in range(0, len(ids), step)]


def the_report(workspace: Workspace, layer: int) -> Path:
    """The folder of the only report."""
    (one,) = layer_reports(workspace.interpretations, layer)
    return one.folder


def read_features(workspace: Workspace, layer: int) -> list[FeatureReport]:
    folder = the_report(workspace, layer)
    report = read_record(folder / "report.json", LayerReport)
    shards = [read_record(folder / name, FeatureShard) for name in report.shards]
    return [feature for shard in shards for feature in shard.features]


def test_each_feature_is_found_on_its_token(
    run: Any, planted_workspace: Workspace, planted_model: Any, documents: list[str]
) -> None:
    run()
    windows = windows_of(planted_model, documents)
    counts = Counter(token for window in windows for token in window)
    inside = Counter(token for window in windows for token in set(window))
    rows = sum(map(len, windows))
    for layer in (0, 1):
        features = read_features(planted_workspace, layer)
        assert [feature.feature for feature in features] == list(range(301))
        for feature in features[:-1]:
            check_planted(feature, counts, inside, rows)
        assert features[-1].flags == ["dead"]
        assert features[-1].rate_high == pytest.approx(3 / rows, rel=1e-5)


def check_planted(
    feature: FeatureReport, counts: Counter[int], inside: Counter[int], rows: int
) -> None:
    token = feature.feature
    expected = 0 if token == 0 else counts[token]  # token 0 is special and masked
    assert (feature.firings, feature.rows) == (expected, rows)
    assert feature.windows == (inside[token] if expected else 0)
    assert sum(feature.histogram.counts) == sum(feature.positions.counts) == expected
    if not expected:
        return
    assert sum(feature.positions.rows) == rows
    (held,) = feature.tokens
    assert (held.id, held.count, held.occurrences) == (token, expected, expected)
    assert held.p_token_given_fires == held.p_fires_given_token == 1
    assert feature.mean_act == pytest.approx(1, abs=1e-4)
    assert ("single-token" in feature.flags) == (expected >= 10)
    assert len(feature.top) == min(10, inside[token])
    assert len(feature.uniform) == len(feature.weighted) == min(10, expected)
    for example in feature.examples:
        assert example.ids[example.peak] == token
        assert len(example.ids) == len(example.texts) == len(example.acts) <= 33
        fires = [act > 0 for act in example.acts]
        assert fires == [i == token and i != 0 for i in example.ids]
    assert sorted(i for band in feature.bands for i in band.examples) == list(
        range(len(feature.examples))
    )


def test_report_summary_and_seed_file_agree(run: Any, planted_workspace: Workspace) -> None:
    summaries = run()
    folder = the_report(planted_workspace, 1)
    report = read_record(folder / "report.json", LayerReport)
    summary = read_record(folder / "summary.json", LayerSummary)
    features = read_features(planted_workspace, 1)
    assert summaries[1] == summary
    assert summary.counts == report.counts
    assert report.counts.active == sum(feature.firings > 0 for feature in features)
    assert report.counts.dead + report.counts.active == report.counts.features == 301
    assert report.index.firings == [feature.firings for feature in features]
    assert report.source.texts == 16
    assert report.mask.position_0 == report.source.windows > 16
    assert report.mask.kept == report.mask.counted == report.counts.rows
    assert sum(report.density.counts) == report.counts.active
    assert report.recovered is not None
    assert report.source.truncated == 0
    assert not [note for note in report.notes if note.startswith("Cut: ")]
    records = json.loads(planted_workspace.interpretation(1).read_text())
    assert [OriginalRecord.model_validate(record).feature_id for record in records] == list(
        range(301)
    )
    assert records[300]["active"] is False
    assert all(
        record["num_activations"] == report.index.firings[record["feature_id"]]
        for record in records
    )
    assert planted_workspace.browser.is_file()


def test_metrics_of_a_planted_sae(run: Any, planted_workspace: Workspace) -> None:
    summary = run()[0]
    share = summary.metrics.l0
    # Tokens of the vocabulary's start are reconstructed whole, the others not at all.
    assert 0 < share < 1
    assert summary.metrics.recon_loss == pytest.approx(1 - share, abs=1e-3)
    assert summary.metrics.bias == pytest.approx(1, abs=1e-3)


def test_a_second_run_does_nothing_and_says_so(run: Any, planted_workspace: Workspace) -> None:
    run()
    before = {
        path: path.stat().st_mtime_ns for path in planted_workspace.interpretations.rglob("*")
    }
    notices: list[str] = []
    summaries = run(monitor=Monitor(notice=notices.append))
    assert len(summaries) == len(notices) == 2
    assert "nothing to do" in notices[0]
    assert before == {
        path: path.stat().st_mtime_ns for path in planted_workspace.interpretations.rglob("*")
    }


@pytest.mark.parametrize("changes", [{"seed": 1}, {"max_texts": 10}, {"context_tokens": 3}])
def test_other_settings_make_another_report(run: Any, changes: dict[str, int]) -> None:
    first = run()
    second = run(**changes)
    assert first[0].fingerprint != second[0].fingerprint
    assert run(**changes) == second


def test_another_sae_is_interpreted_anew(run: Any, planted_workspace: Workspace) -> None:
    first = run()
    JumpReLUSAE(64, 20, threshold=0.5).save(planted_workspace.sae(1, "best"))
    notices: list[str] = []
    second = run(monitor=Monitor(notice=notices.append))
    assert second[0] == first[0]
    assert second[1].counts.features == 20
    assert notices.count("layer 0: already interpreted, nothing to do") == 1
    assert not any(notice.startswith("layer 1: already") for notice in notices)


@pytest.mark.parametrize("stops", [[1], [2, 1], [1, 1, 1]])
def test_stopped_runs_end_with_the_same_files(
    run: Any,
    planted_workspace: Workspace,
    tmp_path: Path,
    planted_sae: JumpReLUSAE,
    monkeypatch: pytest.MonkeyPatch,
    stops: list[int],
) -> None:
    monkeypatch.setattr(text_source, "BATCH_ROWS", 150)
    run()
    expected = tree(planted_workspace.interpretations)
    other = type(planted_workspace)(tmp_path / "other")
    other.checkpoints.mkdir(parents=True)
    for layer in (0, 1):
        planted_sae.save(other.sae(layer, "best"))
    for batches in stops:
        with pytest.raises(Stopped):
            run(workspace=other, monitor=stopping_after(batches))
    notices: list[str] = []
    run(workspace=other, monitor=Monitor(notice=notices.append))
    assert any("resuming after" in notice for notice in notices)
    assert tree(other.interpretations) == expected


def stopping_after(batches: int) -> Monitor:
    reports: list[object] = []

    def signal() -> int | None:
        return 2 if len(reports) >= batches else None

    def count(report: Progress) -> None:
        if report.part == ROWS.name:
            reports.append(report)

    return Monitor(progress=count, stop_signal=signal)


def test_all_layers_share_one_pass_of_the_model(
    run: Any, planted_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    forward = ResidualModel.residuals

    def counting(self: ResidualModel, ids: Any, layers: Any, mask: Any = None) -> Any:
        asked.append(list(layers))
        return forward(self, ids, layers, mask)

    monkeypatch.setattr(ResidualModel, "residuals", counting)
    run()
    assert asked
    assert all(layers == [0, 1] for layers in asked)


def test_layers_that_do_not_fit_together_go_one_by_one(
    run: Any, planted_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = run()
    files = tree(the_report(planted_workspace, 1))
    shutil.rmtree(planted_workspace.interpretations)
    monkeypatch.setattr(jobs, "STATE_BYTES", 1)
    assert run() == together
    assert tree(the_report(planted_workspace, 1)) == files


def test_a_stop_while_loss_is_measured_keeps_the_pass(
    run: Any, planted_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise Stopped(15)

    with monkeypatch.context() as patch:
        patch.setattr(stage, "measure_recovered", stop)
        with pytest.raises(Stopped):
            run()
    monkeypatch.setattr(text_source.TextSource, "batches", stop)  # not read again
    assert len(run()) == 2
    assert not (planted_workspace.interpretations / ".unfinished").exists()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"schema": 9}'])
def test_a_damaged_state_starts_anew(
    run: Any, planted_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    monkeypatch.setattr(text_source, "BATCH_ROWS", 150)
    with pytest.raises(Stopped):
        run(monitor=stopping_after(1))
    (state,) = planted_workspace.interpretations.glob(".unfinished/*/state.json")
    state.write_bytes(damage)
    assert run()[0].source.texts == 16


def test_a_state_with_one_damaged_layer_starts_all_of_them_anew(
    run: Any, planted_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_source, "BATCH_ROWS", 150)
    expected = run()
    shutil.rmtree(planted_workspace.interpretations)
    with pytest.raises(Stopped):
        run(monitor=stopping_after(1))
    (last,) = planted_workspace.interpretations.glob(".unfinished/*/layer_1.*")
    last.write_bytes(last.read_bytes()[:-1])
    assert run() == expected


def test_truthfulqa_file_is_compared(
    run: Any, tmp_path: Path, planted_workspace: Workspace
) -> None:
    lines = ["Category,Question,Best Answer,Incorrect Answers"]
    lines += [f"Misc,Is number {i} a prime number?,t t t,i i i i" for i in range(12)]
    path = tmp_path / "TruthfulQA.csv"
    path.write_text("\n".join(lines) + "\n")
    summary = run(texts=str(path))[0]
    assert summary.source.kind == "truthfulqa"
    report = read_record(the_report(planted_workspace, 0) / "report.json", LayerReport)
    assert report.contrast is not None
    assert report.contrast.questions == 12
    assert summary.significant == report.contrast.significant > 0
    assert report.mask.repeated > 0
    best = report.contrast.entries[0]
    assert abs(best.effect) == 1
    assert best.p_value == pytest.approx(2.0**-11)
    check_pairs(report.contrast)


def settings_of(workspace: Workspace) -> dict[str, Any]:
    report = read_record(the_report(workspace, 0) / "report.json", LayerReport)
    return dict(report.settings)


def test_a_report_names_the_settings_that_made_it(run: Any, planted_workspace: Workspace) -> None:
    own = {
        "interpretation.checkpoint": "best",
        "interpretation.context_tokens": 16,
        "interpretation.seed": 0,
        "interpretation.top_examples": 3,
    }
    run(top_examples=3)
    assert settings_of(planted_workspace) == own
    progress = planted_workspace.training_progress(0)
    told = {"sae.d_hidden": 301, "sae.target_l0": 24.0, "sae.d_model": None}
    told |= {"sae_training.epochs": 3}
    write_progress(progress, {"scale": 0.5, "settings": told})
    run(top_examples=3)
    assert settings_of(planted_workspace) == own, "the manifest of another training"
    folder = planted_workspace.sae(0, "best")
    sae = JumpReLUSAE.load(folder)
    sae.save(folder, metadata={"ghosttrack": {"scale": 0.5}})
    run(top_examples=3)
    assert settings_of(planted_workspace) == own | {"sae.d_hidden": 301, "sae.target_l0": 24.0}
    progress.write_text(progress.read_text().replace("24", "25"))
    with pytest.raises(CorruptionError, match="progress"):
        run(top_examples=3)


def check_pairs(contrast: Contrast) -> None:
    """A planted feature fires on its own token only, so ids say where and how often."""
    for entry in contrast.entries:
        differences = [abs(one.rate_factual - one.rate_hallucinated) for one in entry.pairs]
        assert differences == sorted(differences, reverse=True)
        assert len(entry.pairs) == min(3, entry.more_factual + entry.more_hallucinated)
        for pair in entry.pairs:
            question = "".join(pair.opening.texts)
            assert re.fullmatch(r"Is number \d+ a prime number\?", question)
            for answer, rate in (
                (pair.factual, pair.rate_factual),
                (pair.hallucinated, pair.rate_hallucinated),
            ):
                fires = [token == entry.feature for token in answer.ids]
                assert [act > 0 for act in answer.acts] == fires
                assert rate == pytest.approx(sum(fires) / len(fires), rel=1e-5)
        assert [pair.question for pair in entry.pairs] == list(range(len(entry.pairs)))


def test_empty_texts_are_refused(run: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    with pytest.raises(CorpusError):
        run(texts=str(empty))


def test_missing_sae_is_said(run: Any, planted_workspace: Workspace) -> None:
    with pytest.raises(StateError):
        run(checkpoint="final")


def test_sae_of_another_width_is_refused(run: Any, planted_workspace: Workspace) -> None:
    JumpReLUSAE(32, 8).save(planted_workspace.sae(0, "best"))
    with pytest.raises(ConflictError) as raised:
        run()
    assert raised.value.fields == {"d_model": (32, 64)}


def test_seed_call_gives_records_by_feature(
    planted_workspace: Workspace, planted_model: Any, documents: list[str], tmp_path: Path
) -> None:
    interpretations = analyze_sae(
        sae_checkpoint_path=str(planted_workspace.sae(0, "best")),
        model_wrapper=planted_model,
        layer_idx=0,
        texts=documents,
        save_dir=str(tmp_path / "results"),
    )
    counts = Counter(token for window in windows_of(planted_model, documents) for token in window)
    for feature in range(1, 300):
        record = interpretations[feature]
        assert record["feature_id"] == feature
        assert record["active"] == (counts[feature] > 0)
        assert record["num_activations"] == counts[feature]
        for example in record["top_examples"]:
            ((text, count),) = record["common_tokens"]
            assert count == counts[feature]
            assert example["token"] == text or text.startswith("\\x")  # bytes of a character
    saved = json.loads((tmp_path / "results" / "layer_0_interpretations.json").read_text())
    assert [record["feature_id"] for record in saved] == list(range(301))
    assert saved[50]["num_activations"] == interpretations[50]["num_activations"]


def test_seed_call_says_what_it_replaced(planted_workspace: Workspace, planted_model: Any) -> None:
    folder = planted_workspace.sae(0, "best")
    with pytest.warns(UserWarning, match="^replaced") as said:
        analyze_sae(folder, planted_model, 0, ["a \ud800 b", "a b", "\udc00", "a b " * 200])
    assert [str(one.message) for one in said] == [
        "replaced by U+FFFD: unpaired surrogates in 2 texts"
    ]
    assert {one.filename for one in said} == {__file__}
    analyze_sae(folder, planted_model, 0, ["\ud83d\ude00 is one character"])


def test_seed_call_without_texts_is_refused(
    planted_workspace: Workspace, planted_model: Any
) -> None:
    with pytest.raises(CorpusError):
        analyze_sae(planted_workspace.sae(0, "best"), planted_model, 0, [])


def test_prompt_names_the_features_of_its_tokens(
    planted_workspace: Workspace, planted_model: Any
) -> None:
    text = "the cat sat on the mat"
    settings = InterpretationSettings()
    report = explain_prompt(text, (0, 1), settings, planted_model, planted_workspace)
    assert report.ids[0] == planted_model.tokenizer.bos_token_id
    assert "".join(report.texts[1:]) == text == report.text
    for layer in report.layers:
        fired = {feature.feature: feature.acts for feature in layer.features}
        assert set(fired) == {token for token in report.ids[1:] if token < 300}
        for token, acts in fired.items():
            assert [act > 0 for act in acts] == [token == other for other in report.ids]
    show_on_page(planted_workspace, report)
    saved = planted_workspace.interpretations / "prompt.json"
    assert read_record(saved, type(report)) == report


def test_a_prompt_of_bytes_that_are_no_text_is_refused(
    planted_workspace: Workspace, planted_model: Any
) -> None:
    settings = InterpretationSettings()
    with pytest.raises(UsageError, match="not UTF-8"):
        explain_prompt("the cat\ud800", (0,), settings, planted_model, planted_workspace)


def test_what_features_promote_is_left_out_and_said(
    run: Any, planted_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unembed(_: object) -> None:
        raise ModelError("cannot tell which tokens features promote: it is a test")

    monkeypatch.setattr(ResidualModel, "unembed", unembed)
    notices: list[str] = []
    run(monitor=Monitor(notice=notices.append))
    assert notices.count("cannot tell which tokens features promote: it is a test") == 1
    report = (the_report(planted_workspace, 1) / "report.json").read_text()
    assert "Cannot tell which tokens features promote: it is a test." in report
    features = read_features(planted_workspace, 1)
    assert all(not one.promoted and not one.suppressed for one in features)
    assert any(one.tokens for one in features)
