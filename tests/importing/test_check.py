"""The rows that an imported SAE is tried on, and what is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from tests.foreign import made

from ghosttrack_cli.errors import ConflictError, ModelError, UsageError
from ghosttrack_cli.foreign.found import ForeignSAE
from ghosttrack_cli.importing.check import check_fit, chosen_site, measure, mismatches
from ghosttrack_cli.importing.rows import CheckedRows, rows_of_text
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.monitor import SILENT
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.settings.schema import CorpusSettings, ModelSettings
from ghosttrack_cli.site import Site
from ghosttrack_cli.text.corpus import open_corpus

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.site import AnySite

pytestmark = pytest.mark.usefixtures("one_thread")
END = 256


@pytest.mark.parametrize("site", [Site(0), Site(1, "mlp_out"), Site(2, "attn_out")])
@pytest.mark.parametrize("context", [None, 7])
def test_the_rows_are_those_of_the_site(
    tmp_path: Path, tiny_model: Path, site: AnySite, context: int | None
) -> None:
    """Windows of the SAE's own length, without their first rows and without end-of-text."""
    text = "A text of a few words, all of which are read, and no more than these."
    path = tmp_path / "text.txt"
    path.write_text(text)
    model = ResidualModel.load(ModelSettings(name=str(tiny_model), device="cpu"))
    corpus = open_corpus(CorpusSettings(source=str(path), min_characters=1))
    rows = rows_of_text(model, corpus, Site.of(site), SILENT, context)
    tokens = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    stream, length = [*tokens, END], (context or model.max_context) - 1
    expected = []
    for start in range(0, len(stream), length):
        ids = [END, *stream[start : start + length]]
        x = model.residuals(torch.tensor([ids]), [site])[site][0]
        expected += [one for one, token in zip(x, ids, strict=True) if token != END]
    norms = torch.stack(expected).norm(dim=1)
    assert norms.max() < 10 * norms.median()  # none is an outlier
    torch.testing.assert_close(rows.x, torch.stack(expected), atol=1e-5, rtol=1e-5)
    assert (rows.context, rows.model) == (length + 1, "gpt2")
    with pytest.raises(UsageError, match="layer out of range: 3, gpt2 has 0 to 2"):
        rows_of_text(model, corpus, Site(3), SILENT, None)


def sae(**more: object) -> ForeignSAE:
    return ForeignSAE("family", JumpReLUSAE.from_weights(made.five()), **more)  # type: ignore[arg-type]


def test_fvu_and_l0_by_hand() -> None:
    found = measure(sae().sae, made.ROWS)
    acts, recon = made.encoded(made.jumps, centred=False)
    error = (made.ROWS - recon).square().sum()
    spread = (made.ROWS - made.ROWS.mean(dim=0)).square().sum()
    assert found.tokens == made.N
    assert found.fvu == pytest.approx((error / spread).item(), rel=1e-5)
    assert found.l0 == pytest.approx((acts > 0).sum(dim=1).float().mean().item())
    assert found.fvu > 1  # random weights
    with pytest.raises(ModelError, match=r"wrong hook or layer\?"):
        check_fit(found, Site(6))


def test_the_site_is_that_of_the_sae_or_the_one_asked_for() -> None:
    assert chosen_site(sae(site=Site(6)), None) == 6
    assert chosen_site(sae(), Site(6, "mlp_out")) == Site(6, "mlp_out")
    assert chosen_site(sae(site=Site(0, "resid_pre")), None) == Site(0, "resid_pre")
    assert chosen_site(sae(site=Site(5)), Site(6, "resid_pre")) == 5
    with pytest.raises(UsageError, match="neither the SAE nor its name says"):
        chosen_site(sae(), None)
    with pytest.raises(ConflictError) as caught:
        chosen_site(sae(site=Site(5)), Site(6))
    assert caught.value.fields == {
        "hook_name": ("blocks.5.hook_resid_post", "blocks.6.hook_resid_post")
    }


@pytest.mark.parametrize(
    ("theirs", "ours", "differs"),
    [
        ("gpt2-small", "openai-community/gpt2", False),
        ("google/gemma-2-2b", "gemma-2-2b", False),
        ("google/gemma-2-2b", "google/gemma-2-2b-it", True),
        (None, "gpt2", False),
    ],
)
def test_models_are_compared_by_name(theirs: str | None, ours: str, differs: bool) -> None:
    rows = CheckedRows(made.ROWS, ours, 128)
    said = mismatches(sae(model_name=theirs, prepend_bos=True, context_size=128), rows)
    assert [one.partition(":")[0] for one in said] == (["model_name"] if differs else [])
