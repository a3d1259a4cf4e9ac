"""Tokens read as the text that they came from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghosttrack_cli.interpretation.token_text import TokenTexts
from ghosttrack_cli.text.tokens import Encoder


@pytest.fixture(scope="session")
def texts(demo_model: Any) -> TokenTexts:
    return TokenTexts(demo_model.tokenizer)


@pytest.fixture(scope="session")
def encoder(demo_model: Any) -> Encoder:
    return Encoder(demo_model.tokenizer)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_row_of_tokens_reads_as_its_text(texts: TokenTexts, encoder: Encoder, text: str) -> None:
    ids = encoder.encode([text])[0].tolist()
    assert "".join(texts.row(ids)) == text
    assert len(texts.row(ids)) == len(ids)


@pytest.mark.parametrize("text", ["\0", "\u202e evil \u2066", "é", "漢字", "🦊 fox", "\u2028"])
def test_hostile_and_split_characters_survive(
    texts: TokenTexts, encoder: Encoder, text: str
) -> None:
    assert "".join(texts.row(encoder.encode([text])[0].tolist())) == text


def test_a_split_character_stands_in_its_first_token(texts: TokenTexts, encoder: Encoder) -> None:
    ids = encoder.encode(["🦊"])[0].tolist()
    assert len(ids) > 1
    assert texts.row(ids) == ["🦊", *[""] * (len(ids) - 1)]


def test_half_a_character_shows_its_bytes(texts: TokenTexts, encoder: Encoder) -> None:
    ids = encoder.encode(["🦊"])[0].tolist()
    assert "\\xf0" in "".join(texts.row(ids[:-1]))
    assert texts.one(ids[0]).startswith("\\xf0")


def test_an_id_outside_the_vocabulary_has_a_text(texts: TokenTexts) -> None:
    assert texts.one(10**6) == "<1000000>"


class Pieces:
    """A tokenizer with sentencepiece's conventions."""

    added_tokens_decoder: dict[int, Any] = {3: None}  # noqa: RUF012 - read only

    def convert_ids_to_tokens(self, token: int) -> str:
        return ["\u2581the", "<0xC3>", "<0xA9>", "<s>"][token]


def test_sentencepiece_spaces_and_bytes() -> None:
    texts = TokenTexts(Pieces())
    assert texts.row([3, 0, 1, 2]) == ["<s>", " the", "é", ""]
