"""SAELens opens our folders as they are: the same acts, the same reconstruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from ghosttrack_cli.sae import JumpReLUSAE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_saelens_loads_the_folder(tmp_path: Path) -> None:
    sae_lens = pytest.importorskip("sae_lens", reason="SAELens is not installed here")
    generator = torch.Generator().manual_seed(0)
    sae = JumpReLUSAE(16, 64, 0.3, metadata={"model_name": "gpt2", "context_size": 128})
    sae.b_enc.copy_(torch.randn(64, generator=generator) / 10)
    sae.b_dec.copy_(torch.randn(16, generator=generator))
    sae.save(tmp_path / "sae", sparsity=torch.rand(64, generator=generator))
    theirs = sae_lens.SAE.load_from_disk(str(tmp_path / "sae"))
    x = torch.randn(50, 16, generator=generator)
    torch.testing.assert_close(theirs.encode(x).detach(), sae.encode(x))
    torch.testing.assert_close(theirs(x).detach(), sae(x))
    assert theirs.cfg.metadata.model_name == "gpt2"
