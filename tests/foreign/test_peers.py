"""Files that the families' own libraries write give the acts that these libraries give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.foreign import made

from ghosttrack_cli.foreign.source import read_source

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


def fill(module: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) / 2)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("kind", ["Standard", "TopK", "JumpReLU"])
def test_saelens(tmp_path: Path, kind: str, centred: bool) -> None:
    sae_lens: Any = pytest.importorskip("sae_lens", reason="SAELens is not installed here")
    more = {"k": made.K} if kind == "TopK" else {}
    config = getattr(sae_lens, f"{kind}SAEConfig")(
        d_in=made.D, d_sae=made.F, apply_b_dec_to_input=centred, **more
    )
    theirs = getattr(sae_lens, f"{kind}SAE")(config)
    theirs.cfg.metadata.hook_name = "blocks.3.hook_mlp_out"
    fill(theirs)
    theirs.save_model(tmp_path)
    found = read_source(str(tmp_path), None)
    assert str(found.site) == "3.mlp_out"
    expected = theirs.encode(made.ROWS).detach()
    torch.testing.assert_close(found.sae.encode(made.ROWS), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        found.sae.forward(made.ROWS), theirs(made.ROWS).detach(), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "place", "more"),
    [
        ("AutoEncoder", "dictionary", {}),
        ("AutoEncoderNew", "dictionary", {}),
        ("JumpReluAutoEncoder", "dictionary", {}),
        ("AutoEncoderTopK", "trainers.top_k", {"k": made.K}),
        ("BatchTopKSAE", "trainers.batch_top_k", {"k": made.K}),
        (
            "MatryoshkaBatchTopKSAE",
            "trainers.matryoshka_batch_top_k",
            {"k": made.K, "group_sizes": [5, 15]},
        ),
    ],
)
def test_dictionary_learning(tmp_path: Path, name: str, place: str, more: dict[str, Any]) -> None:
    pytest.importorskip("dictionary_learning", reason="dictionary_learning is not installed here")
    module = pytest.importorskip(f"dictionary_learning.{place}")
    theirs = getattr(module, name)(made.D, made.F, **more)
    fill(theirs)
    if hasattr(theirs, "threshold"):
        with torch.no_grad():
            theirs.threshold.fill_(0.75)
    made.dictionary(tmp_path, name)
    torch.save(theirs.state_dict(), tmp_path / "ae.pt")  # noqa: TID251 - as it does
    found = read_source(str(tmp_path), None)
    torch.testing.assert_close(
        found.sae.encode(made.ROWS), theirs.encode(made.ROWS).detach(), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        found.sae.forward(made.ROWS), theirs(made.ROWS).detach(), atol=1e-5, rtol=1e-5
    )


def test_sparsify(tmp_path: Path) -> None:
    sparsify: Any = pytest.importorskip("sparsify", reason="sparsify is not installed here")
    config = sparsify.SparseCoderConfig(num_latents=made.F, k=made.K)
    theirs = sparsify.SparseCoder(made.D, config)
    fill(theirs)
    theirs.save_to_disk(tmp_path / "layers.10")
    found = read_source(str(tmp_path / "layers.10"), None)
    assert str(found.site) == "10"
    values, indices, _ = theirs.encode(made.ROWS)
    expected = torch.zeros(made.N, made.F).scatter(1, indices, values.detach())
    torch.testing.assert_close(found.sae.encode(made.ROWS), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        found.sae.forward(made.ROWS),
        expected @ theirs.W_dec.detach() + theirs.b_dec.detach(),
        atol=1e-5,
        rtol=1e-5,
    )
