"""SAELens opens our folders as they are, dictionary_learning our exports: both give our acts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from ghosttrack_cli.export.dictionary_learning import export_sae
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


def random_sae(folder: Path) -> JumpReLUSAE:
    generator = torch.Generator().manual_seed(0)
    sae = JumpReLUSAE(16, 64, 0.3, metadata={"model_name": "gpt2", "context_size": 128})
    sae.b_enc.copy_(torch.randn(64, generator=generator) / 10)
    sae.b_dec.copy_(torch.randn(16, generator=generator))
    sae.save(folder, sparsity=torch.rand(64, generator=generator))
    return sae


def rows() -> torch.Tensor:
    return torch.randn(50, 16, generator=torch.Generator().manual_seed(1))


def test_saelens_loads_the_folder(tmp_path: Path) -> None:
    sae_lens = pytest.importorskip("sae_lens", reason="SAELens is not installed here")
    sae, x = random_sae(tmp_path / "sae"), rows()
    theirs = sae_lens.SAE.load_from_disk(str(tmp_path / "sae"))
    torch.testing.assert_close(theirs.encode(x).detach(), sae.encode(x))
    torch.testing.assert_close(theirs(x).detach(), sae(x))
    assert theirs.cfg.metadata.model_name == "gpt2"


def test_dictionary_learning_loads_the_export(tmp_path: Path) -> None:
    pytest.importorskip("dictionary_learning", reason="dictionary_learning is not installed here")
    utils = pytest.importorskip("dictionary_learning.utils")
    sae, x = random_sae(tmp_path / "sae"), rows()
    export_sae(tmp_path / "sae", tmp_path / "out", layer=6)
    theirs, config = utils.load_dictionary(str(tmp_path / "out"), "cpu")
    torch.testing.assert_close(theirs.encode(x).detach(), sae.encode(x))
    torch.testing.assert_close(theirs(x).detach(), sae(x))
    assert config["trainer"]["activation_dim"] == theirs.activation_dim == 16
