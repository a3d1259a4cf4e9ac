"""SAELens opens our folders as they are, dictionary_learning our exports: both give our acts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from ghosttrack_cli.export.dictionary_learning import export_sae
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.sae.registry import load_sae
from ghosttrack_cli.sae.relu import ReLUSAE
from ghosttrack_cli.sae.topk import TopKSAE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ghosttrack_cli.sae.linear import LinearSAE

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


ABOUT = {"model_name": "gpt2", "context_size": 128}


def jumprelu() -> LinearSAE:
    return JumpReLUSAE(16, 64, 0.3, metadata=ABOUT)


def relu() -> LinearSAE:
    return ReLUSAE.from_weights(JumpReLUSAE(16, 64).weights(), metadata=ABOUT)


def topk() -> LinearSAE:
    return TopKSAE.from_weights(JumpReLUSAE(16, 64).weights(), metadata=ABOUT, k=7)


every_kind = pytest.mark.parametrize("make", [jumprelu, relu, topk])


def random_sae(folder: Path, make: Callable[[], LinearSAE]) -> LinearSAE:
    generator = torch.Generator().manual_seed(0)
    sae = make()
    sae.b_enc.copy_(torch.randn(64, generator=generator) / 10)
    sae.b_dec.copy_(torch.randn(16, generator=generator))
    sae.save(folder, sparsity=torch.rand(64, generator=generator))
    return sae


def rows() -> torch.Tensor:
    return torch.randn(50, 16, generator=torch.Generator().manual_seed(1))


@every_kind
def test_saelens_loads_the_folder(tmp_path: Path, make: Callable[[], LinearSAE]) -> None:
    sae_lens = pytest.importorskip("sae_lens", reason="SAELens is not installed here")
    sae, x = random_sae(tmp_path / "sae", make), rows()
    theirs = sae_lens.SAE.load_from_disk(str(tmp_path / "sae"))
    torch.testing.assert_close(theirs.encode(x).detach(), sae.encode(x))
    torch.testing.assert_close(theirs(x).detach(), sae(x))
    assert theirs.cfg.metadata.model_name == "gpt2"
    assert theirs.cfg.architecture() == sae.architecture


@pytest.mark.parametrize("rescaled", [False, True])
@pytest.mark.parametrize("kind", ["standard", "topk", "jumprelu"])
def test_we_load_what_saelens_writes(tmp_path: Path, kind: str, rescaled: bool) -> None:
    sae_lens = pytest.importorskip("sae_lens", reason="SAELens is not installed here")
    options = {"k": 7, "rescale_acts_by_decoder_norm": rescaled} if kind == "topk" else {}
    kinds = {"standard": "StandardSAE", "topk": "TopKSAE", "jumprelu": "JumpReLUSAE"}
    made = getattr(sae_lens, kinds[kind])
    config = getattr(sae_lens, kinds[kind] + "Config")(
        d_in=16, d_sae=64, apply_b_dec_to_input=True, **options
    )
    theirs, generator = made(config), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    theirs.save_model(tmp_path / "sae")
    sae, x = load_sae(tmp_path / "sae"), rows()
    torch.testing.assert_close(sae.encode(x), theirs.encode(x).detach(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(sae.forward(x), theirs(x).detach(), atol=1e-4, rtol=1e-4)


def test_we_load_the_batchtopk_that_saelens_trains(tmp_path: Path) -> None:
    """As it trains and as it saves for inference: above one threshold, in the same units."""
    sae_lens = pytest.importorskip("sae_lens", reason="SAELens is not installed here")
    config = sae_lens.BatchTopKTrainingSAEConfig(d_in=16, d_sae=64, k=7)
    theirs, generator = sae_lens.BatchTopKTrainingSAE(config), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
        theirs.topk_threshold.fill_(3.0)
    theirs.save_model(tmp_path / "trained")
    theirs.save_inference_model(tmp_path / "saved")
    for_inference = sae_lens.SAE.load_from_disk(str(tmp_path / "saved"))
    x = rows()
    for name in ("trained", "saved"):
        sae = load_sae(tmp_path / name)
        assert sae.architecture == "jumprelu"
        torch.testing.assert_close(sae.forward(x), for_inference(x).detach(), atol=1e-3, rtol=1e-3)


@every_kind
def test_dictionary_learning_loads_the_export(
    tmp_path: Path, make: Callable[[], LinearSAE]
) -> None:
    pytest.importorskip("dictionary_learning", reason="dictionary_learning is not installed here")
    utils = pytest.importorskip("dictionary_learning.utils")
    sae, x = random_sae(tmp_path / "sae", make), rows()
    export_sae(tmp_path / "sae", tmp_path / "out", layer=6)
    theirs, config = utils.load_dictionary(str(tmp_path / "out"), "cpu")
    torch.testing.assert_close(theirs.encode(x).detach(), sae.encode(x))
    torch.testing.assert_close(theirs(x).detach(), sae(x))
    assert config["trainer"]["activation_dim"] == theirs.activation_dim == 16
