"""SAEs of every architecture: what fires, by hand; the same answers however they are asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import safetensors.torch
import torch

from ghosttrack_cli.errors import CorruptionError, ModelError, StateError, UsageError
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.sae.registry import ARCHITECTURES, load_sae
from ghosttrack_cli.sae.relu import ReLUSAE
from ghosttrack_cli.sae.topk import TopKSAE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ghosttrack_cli.sae.linear import LinearSAE

D, F = 8, 24


def some_weights(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "W_enc": torch.randn(D, F, generator=generator),
        "b_enc": torch.randn(F, generator=generator) / 10,
        "W_dec": torch.randn(F, D, generator=generator),
        "b_dec": torch.randn(D, generator=generator) / 10,
    }


def jumprelu() -> JumpReLUSAE:
    return JumpReLUSAE.from_weights(some_weights() | {"threshold": torch.full((F,), 0.7)})


def relu() -> ReLUSAE:
    return ReLUSAE.from_weights(some_weights())


def topk() -> TopKSAE:
    return TopKSAE.from_weights(some_weights(), k=5)


every_kind = pytest.mark.parametrize("make", [jumprelu, relu, topk])
Make = "Callable[[], LinearSAE]"


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(31, D, generator=torch.Generator().manual_seed(9))


def identity(size: int) -> dict[str, torch.Tensor]:
    """Weights of an SAE whose pre-activations are the row itself."""
    one, zero = torch.eye(size), torch.zeros(size)
    return {"W_enc": one, "b_enc": zero, "W_dec": one, "b_dec": zero}


def test_relu_passes_what_is_positive() -> None:
    x = torch.tensor([[0.5, 0.0, -2.0], [-1.0, 3.0, 1e-9]])
    sae = ReLUSAE.from_weights(identity(3))
    assert torch.equal(sae.encode(x), torch.tensor([[0.5, 0.0, 0.0], [0.0, 3.0, 1e-9]]))
    assert sae.fires(x).tolist() == [[True, False, False], [False, True, True]]


def test_topk_passes_the_largest_of_each_row_that_are_positive() -> None:
    x = torch.tensor(
        [
            [4.0, 1.0, 3.0, 2.0],  # two of four
            [-1.0, -3.0, 5.0, -2.0],  # the second largest is not positive
            [-1.0, -2.0, -3.0, -4.0],  # nothing fires
            [7.0, 6.0, 6.0, 1.0],  # a tie for the last place: neither, never more than two
        ]
    )
    sae = TopKSAE.from_weights(identity(4), k=2)
    expected = torch.tensor(
        [[4.0, 0.0, 3.0, 0.0], [0.0, 0.0, 5.0, 0.0], [0.0] * 4, [7.0, 0.0, 0.0, 0.0]]
    )
    assert torch.equal(sae.encode(x), expected)
    assert torch.equal(sae(x), expected)
    assert torch.equal(sae.fires(x), expected > 0)
    assert sae.thresholds(x).flatten().tolist() == [2.0, 0.0, 0.0, 6.0]


def test_topk_of_as_many_as_there_are_is_a_relu(rows: torch.Tensor) -> None:
    everything = TopKSAE.from_weights(some_weights(), k=F)
    assert torch.equal(everything.encode(rows), relu().encode(rows))


@every_kind
def test_however_it_is_asked_the_same_features_fire(
    make: Callable[[], LinearSAE], rows: torch.Tensor
) -> None:
    sae = make()
    h = sae.pre_acts(rows)
    acts = sae.encode(rows)
    assert 0 < int((acts > 0).sum()) < acts.numel()
    assert torch.equal(sae.fires(h), acts > 0)
    assert torch.equal(torch.where(sae.fires(h), h, 0), acts)
    assert torch.equal(sae.acts(h.clone()), acts)
    chosen = [3, 0, 17]
    torch.testing.assert_close(sae.encode_features(rows, chosen), acts[:, chosen])
    in_a_batch = sae.encode(rows.reshape(1, 31, D))
    torch.testing.assert_close(in_a_batch[0], acts)


@every_kind
@pytest.mark.parametrize("size", [5, F, 100])
def test_block_by_block_the_same_features_fire(
    make: Callable[[], LinearSAE], size: int, rows: torch.Tensor
) -> None:
    sae = make()
    blocks = list(sae.feature_blocks(rows, size))
    assert [block.first for block in blocks] == list(range(0, F, size))
    acts = [torch.where(block.pre_acts > block.thresholds, block.pre_acts, 0) for block in blocks]
    torch.testing.assert_close(torch.cat(acts).T, sae.encode(rows))


def test_exactly_k_fire_in_blocks_too(rows: torch.Tensor) -> None:
    """The k-th and the next are told apart by the bits that the blocks have themselves."""
    sae = topk()
    for size in (1, 7, 23):
        firing = [(b.pre_acts > b.thresholds).sum(dim=0) for b in sae.feature_blocks(rows, size)]
        assert torch.stack(firing).sum(dim=0).tolist() == [5] * len(rows)


@every_kind
def test_folding_gives_the_same_function_of_raw_rows(
    make: Callable[[], LinearSAE], rows: torch.Tensor
) -> None:
    sae, pre_bias = make(), torch.linspace(-1, 1, D)
    folded = sae.folded(0.25, pre_bias)
    assert type(folded) is type(sae)
    acts = sae.encode(rows * 0.25 - pre_bias)
    torch.testing.assert_close(folded.encode(rows), acts, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(folded(rows), sae.decode(acts) / 0.25, atol=1e-4, rtol=1e-4)


@every_kind
def test_a_saved_sae_comes_back_as_what_it_is(
    make: Callable[[], LinearSAE], tmp_path: Path, rows: torch.Tensor
) -> None:
    sae = make()
    sae.save(tmp_path / "sae", metadata={"model_name": "gpt2"})
    again = load_sae(tmp_path / "sae")
    assert (type(again), again.architecture) == (type(sae), sae.architecture)
    assert (again.options(), again.metadata["model_name"]) == (sae.options(), "gpt2")
    assert torch.equal(again.encode(rows), sae.encode(rows))
    config = json.loads((tmp_path / "sae" / "cfg.json").read_bytes())
    assert config["architecture"] == {jumprelu: "jumprelu", relu: "standard", topk: "topk"}[make]
    assert config.get("k") == (5 if make is topk else None)
    tensors = safetensors.torch.load_file(tmp_path / "sae" / "sae_weights.safetensors")
    assert set(tensors) == set(sae.shapes(D, F))


def written(folder: Path, weights: dict[str, torch.Tensor], **config: Any) -> Path:
    """A folder as SAELens writes it."""
    folder.mkdir()
    safetensors.torch.save_file(weights, folder / "sae_weights.safetensors")
    sizes = {"d_in": D, "d_sae": F, "apply_b_dec_to_input": False}
    (folder / "cfg.json").write_text(json.dumps(sizes | config))
    return folder


def test_ranks_by_the_length_of_decoder_rows_are_folded_in(
    tmp_path: Path, rows: torch.Tensor
) -> None:
    """SAELens may rank by h |W_dec|, which also is the activation there, and decode unit rows."""
    weights = some_weights()
    folder = written(
        tmp_path / "sae", weights, architecture="topk", k=5, rescale_acts_by_decoder_norm=True
    )
    lengths = weights["W_dec"].norm(dim=1)
    h = (rows @ weights["W_enc"] + weights["b_enc"]) * lengths
    best = h.topk(5, dim=1)
    acts = torch.zeros_like(h).scatter_(1, best.indices, best.values.relu())
    sae = load_sae(folder)
    torch.testing.assert_close(sae.encode(rows), acts)
    recon = acts / lengths @ weights["W_dec"] + weights["b_dec"]
    torch.testing.assert_close(sae.decode(acts), recon)


def test_a_batchtopk_reads_as_the_one_threshold_that_it_found(
    tmp_path: Path, rows: torch.Tensor
) -> None:
    weights = some_weights()
    folder = written(
        tmp_path / "sae",
        weights | {"topk_threshold": torch.tensor(0.7)},
        architecture="batchtopk",
        k=5,
        apply_b_dec_to_input=True,
    )
    sae = load_sae(folder)
    assert isinstance(sae, JumpReLUSAE)
    expected = jumprelu().encode(rows - weights["b_dec"])
    torch.testing.assert_close(sae.encode(rows), expected)
    sae.save(tmp_path / "ours")
    assert torch.equal(JumpReLUSAE.load(tmp_path / "ours").encode(rows), sae.encode(rows))


@pytest.mark.parametrize("k", [None, 0, -1, F + 1, True, "5", 5.0, [5]])
def test_a_topk_needs_a_k_that_can_be(tmp_path: Path, k: object) -> None:
    folder = written(tmp_path / "sae", some_weights(), architecture="topk", k=k)
    with pytest.raises(CorruptionError, match=rf"k out of range in .*, must be 1 to {F}"):
        load_sae(folder)


def test_an_architecture_that_nobody_registered_is_refused_by_name(tmp_path: Path) -> None:
    folder = written(tmp_path / "sae", some_weights(), architecture="gated")
    with pytest.raises(ModelError, match="architecture 'gated'") as caught:
        load_sae(folder)
    assert all(name in str(caught.value.hint) for name in ARCHITECTURES)
    with pytest.raises(ModelError, match="not a TopK SAE"):
        TopKSAE.load(folder)


@pytest.mark.parametrize("make", [relu, topk])
def test_jumprelu_reads_no_other_kind(make: Callable[[], LinearSAE], tmp_path: Path) -> None:
    make().save(tmp_path / "sae")
    with pytest.raises(ModelError, match="not a JumpReLU SAE"):
        JumpReLUSAE.load(tmp_path / "sae")


def test_tensors_of_another_architecture_are_refused(tmp_path: Path) -> None:
    weights = some_weights() | {"threshold": torch.zeros(F)}
    folder = written(tmp_path / "sae", weights, architecture="topk", k=5)
    with pytest.raises(CorruptionError, match="tensors do not match"):
        load_sae(folder)
    (folder / "sae_weights.safetensors").unlink()
    with pytest.raises(StateError, match="no SAE here"):
        load_sae(folder)


def test_wrong_arguments_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="weights: no b_dec"):
        ReLUSAE.from_weights({name: w for name, w in some_weights().items() if name != "b_dec"})
    with pytest.raises(UsageError, match="weights: no W_enc"):
        JumpReLUSAE.from_weights({"threshold": torch.zeros(F)})
    for k in (None, 0, 2.5, True, F + 1):
        with pytest.raises(UsageError, match="k: "):
            TopKSAE.from_weights(some_weights(), k=k)  # type: ignore[arg-type]
