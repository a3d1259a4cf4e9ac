"""What weights alone say, against directions that were put there."""

from __future__ import annotations

import pytest
import torch

from ghosttrack_cli.interpretation.features import weight_directions
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE


def test_neighbours_equal_the_whole_matrix_in_any_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    W_dec = torch.randn(37, 8, generator=torch.Generator().manual_seed(0))
    W_dec[5] = 3 * W_dec[11] + torch.linspace(0, 0.01, 8)
    directions = torch.nn.functional.normalize(W_dec, dim=1)
    cosines = (directions @ directions.T).fill_diagonal_(-2)
    expected = cosines.sort(dim=1, descending=True)
    for elements in (1, 100, 10**6):
        monkeypatch.setattr(weight_directions, "CHUNK_ELEMENTS", elements)
        found = weight_directions.decoder_neighbours(W_dec, 4)
        assert torch.equal(found.indices, expected.indices[:, :4])
        assert found.values == pytest.approx(expected.values[:, :4], abs=1e-6)
    assert found.indices[5, 0] == 11
    assert found.values[5, 0] == pytest.approx(1.0, abs=1e-3)


def test_logit_lens_names_the_planted_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_directions, "CHUNK_ELEMENTS", 64)
    unembedding = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    unembedding[3] = torch.tensor([10.0, 0, 0, 0, 0, 0])
    unembedding[7] = torch.tensor([-10.0, 0, 0, 0, 0, 0])
    W_dec = torch.eye(6)[:2] * 5
    promoted, suppressed = weight_directions.logit_lens(W_dec, unembedding, vocabulary=19, count=3)
    assert promoted.indices[0, 0] == 3
    assert suppressed.indices[0, 0] == 7
    centred = unembedding[:19] - unembedding[:19].mean(dim=0)
    assert promoted.values[0, 0] == pytest.approx(float(centred[3, 0]))


def test_padding_rows_of_the_unembedding_are_left_out() -> None:
    unembedding = torch.zeros(5, 2)
    unembedding[4, 0] = 100
    promoted, _ = weight_directions.logit_lens(torch.eye(2), unembedding, vocabulary=4, count=4)
    assert 4 not in promoted.indices


def test_tied_encoder_has_cosine_one() -> None:
    sae = JumpReLUSAE(8, 5)
    assert weight_directions.encoder_decoder_cosine(sae).tolist() == pytest.approx([1.0] * 5)
    sae.W_enc.neg_()
    assert weight_directions.encoder_decoder_cosine(sae).tolist() == pytest.approx([-1.0] * 5)
