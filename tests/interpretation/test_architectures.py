"""Interpreting, splicing, prompting and exporting an SAE that is no JumpReLU.

The residual stream of the planted model is the token's embedding, so that what fires on a token is
known from its number alone.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.interpretation.conftest import write_texts

from ghosttrack_cli.interpretation.api import analyze_sae
from ghosttrack_cli.interpretation.collect import layer_pass
from ghosttrack_cli.interpretation.features.loss_recovered import Splice, measure_recovered
from ghosttrack_cli.interpretation.prompt import explain_prompt
from ghosttrack_cli.model.architectures import weight_of
from ghosttrack_cli.report.feature_schema import FeatureShard
from ghosttrack_cli.report.report_files import read_record
from ghosttrack_cli.report.schema import LayerReport
from ghosttrack_cli.report.stored import layer_reports
from ghosttrack_cli.sae.relu import ReLUSAE
from ghosttrack_cli.sae.topk import TopKSAE
from ghosttrack_cli.settings.schema import InterpretationSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
    from ghosttrack_cli.sae.linear import LinearSAE
    from ghosttrack_cli.workspace import Workspace

K = 3
TEXTS = ["the cat sat on the mat, and the dog saw it there", "a dog is no cat: it says what it is"]


@pytest.fixture(params=["topk", "standard"])
def sae(request: pytest.FixtureRequest, planted_sae: JumpReLUSAE) -> LinearSAE:
    """The planted directions, of which none is quite at a right angle to a token's embedding."""
    weights = planted_sae.weights()
    biased = weights | {"b_enc": torch.full_like(weights["b_enc"], -0.3)}
    kinds: dict[str, Callable[[], LinearSAE]] = {
        "topk": lambda: TopKSAE.from_weights(weights, k=K),
        "standard": lambda: ReLUSAE.from_weights(biased),
    }
    return kinds[request.param]()


class Firing:
    """What fires on each token: h as plain numbers and sorted, not compared with a threshold."""

    def __init__(self, sae: LinearSAE, model: ResidualModel) -> None:
        self._kept = K if sae.architecture == "topk" else None
        self._h = weight_of(model.model.get_input_embeddings()) @ sae.W_enc + sae.b_enc

    def on(self, token: int) -> dict[int, float]:
        h = zip(self._h[token].tolist(), range(self._h.shape[1]), strict=True)
        return {feature: value for value, feature in sorted(h)[::-1][: self._kept] if value > 0}


def tokens_of(model: ResidualModel, texts: Sequence[str]) -> list[int]:
    return [token for text in texts for token in model.tokenizer(text)["input_ids"]]


@pytest.mark.parametrize("block", [40, 10**6])
def test_a_report_has_what_fires_on_each_token(
    sae: LinearSAE,
    block: int,
    planted_workspace: Workspace,
    planted_model: ResidualModel,
    interpret: Callable[..., list[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In blocks of many features, and in one: then each row's largest are among all of them."""
    monkeypatch.setattr(layer_pass, "BLOCK_ELEMENTS", {"cpu": block * 50})
    sae.save(planted_workspace.sae(0, "best"))
    interpret(write_texts(tmp_path / "texts" / "t.jsonl", TEXTS))
    (one,) = layer_reports(planted_workspace.interpretations, 0)
    report = read_record(one.folder / "report.json", LayerReport)
    tokens = tokens_of(planted_model, TEXTS)
    fires = Firing(sae, planted_model)
    acts = [fires.on(token) for token in tokens]
    firings = Counter(feature for fired in acts for feature in fired)
    assert report.metrics is not None
    assert report.metrics.rows == len(tokens)
    assert report.metrics.l0 == pytest.approx(firings.total() / len(tokens))
    assert report.metrics.l1 == pytest.approx(sum(sum(a.values()) for a in acts) / len(tokens))
    for name in report.shards:
        for feature in read_record(one.folder / name, FeatureShard).features:
            assert feature.firings == firings[feature.feature]
            for example in feature.examples:
                expected = [
                    fires.on(token).get(feature.feature, 0.0) if token else 0.0
                    for token in example.ids
                ]
                assert example.acts == pytest.approx(expected, abs=1e-3)


def test_a_prompt_and_analyze_sae_say_the_same(
    sae: LinearSAE, planted_workspace: Workspace, planted_model: ResidualModel
) -> None:
    sae.save(planted_workspace.sae(0, "best"))
    settings = InterpretationSettings()
    report = explain_prompt(TEXTS[0], (0,), settings, planted_model, planted_workspace)
    fired = {feature.feature: feature.acts for feature in report.layers[0].features}
    tokens = [Firing(sae, planted_model).on(token) for token in report.ids[1:]]
    assert set(fired) == {feature for token in tokens for feature in token}
    for feature, acts in fired.items():
        expected = [0.0, *(token.get(feature, 0.0) for token in tokens)]
        assert acts == pytest.approx(expected, abs=1e-4)
    records = analyze_sae(planted_workspace.sae(0, "best"), planted_model, 0, [TEXTS[0]])
    counted = {one["feature_id"]: one["num_activations"] for one in records if one["active"]}
    assert counted == {feature: sum(act > 0 for act in acts) for feature, acts in fired.items()}


def test_the_reconstruction_is_spliced_in(demo_model: ResidualModel, documents: list[str]) -> None:
    """x W and -x W put together again are x, if as many fire as there are dimensions."""
    D, ids = demo_model.d_model, demo_model.tokenizer(documents[0])["input_ids"][:30]
    both = torch.cat([torch.eye(D), -torch.eye(D)], dim=1)
    zero = torch.zeros(2 * D), torch.zeros(D)
    weights = {"W_enc": both, "b_enc": zero[0], "W_dec": both.T.contiguous(), "b_dec": zero[1]}
    recovered = {}
    for k in (D, D // 2, 1):
        splice = Splice(3, TopKSAE.from_weights(weights, k=k), zero[1], None)
        _, everything = measure_recovered(demo_model, [splice], [torch.tensor(ids)])[3]
        assert everything is not None
        recovered[k] = everything.kl_recovered
    assert recovered[D] == pytest.approx(1, abs=1e-4)
    assert recovered[D] > recovered[D // 2] > recovered[1]  # type: ignore[operator]
