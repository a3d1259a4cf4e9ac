"""Tokens read as the text that they came from."""

from __future__ import annotations

import re
from typing import Any

import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models
from transformers import PreTrainedTokenizerFast

from ghosttrack_cli.report.token_text import TokenTexts
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


def loaded(model: Any, decoder: Any = None) -> TokenTexts:
    backend = tokenizers.Tokenizer(model)
    if decoder is not None:
        backend.decoder = decoder
    return TokenTexts(PreTrainedTokenizerFast(tokenizer_object=backend))  # type: ignore[no-untyped-call]


def vocabulary(*tokens: str) -> dict[str, int]:
    return {token: number for number, token in enumerate(tokens)}


def test_llama_and_t5_spaces_and_bytes_as_they_are_written() -> None:
    tokens = ("<unk>", "▁the", "▁▁", "ing", "<0xE6>", "<0x97>", "<0xA5>", "▁")
    sequence = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    llama = loaded(
        models.BPE(vocab=vocabulary(*tokens), merges=[], unk_token=tokens[0], byte_fallback=True),
        sequence,
    )
    unigram = [(token, -1.0) for token in tokens]
    t5 = loaded(models.Unigram(unigram, unk_id=0, byte_fallback=True), decoders.Metaspace())
    for texts in (llama, t5):
        assert [texts.one(token) for token in range(8)] == [
            "<unk>", " the", "  ", "ing", r"\xe6", r"\x97", r"\xa5", " ",
        ]  # fmt: skip
        assert texts.row([1, 4, 5, 6, 3]) == [" the", "日", "", "", "ing"]
        assert texts.row([1, 4, 5, 6, 3], {2}) == [" the", "日", r"\x97", "", "ing"]


def test_wordpiece_reads_without_its_marks() -> None:
    vocab = vocabulary("[UNK]", "the", "##rapist", ",", "▁")
    texts = loaded(models.WordPiece(vocab=vocab, unk_token=next(iter(vocab))), decoders.WordPiece())
    assert texts.row([1, 2, 3]) == [" the", "rapist", " ,"]
    assert texts.one(4) == " ▁"


def test_ends_of_words_are_spaces() -> None:
    vocab = vocabulary("the</w>", "rap", "ist</w>", "</w>")
    model = models.BPE(vocab=vocab, merges=[], end_of_word_suffix="</w>")
    texts = loaded(model, decoders.BPEDecoder(suffix="</w>"))
    assert texts.row([0, 1, 2, 3]) == ["the ", "rap", "ist ", " "]


def test_clip_has_bytes_and_ends_of_words() -> None:
    vocab = vocabulary("the</w>", "ðŁ", "ĺĢ</w>", "Ġ")
    model = models.BPE(vocab=vocab, merges=[], end_of_word_suffix="</w>")
    texts = loaded(model, decoders.ByteLevel())
    assert [texts.one(token) for token in range(4)] == ["the ", r"\xf0\x9f", r"\x98\x80 ", " "]
    assert texts.row([0, 1, 2]) == ["the ", "😀", " "]


def test_no_token_that_stands_alone_is_empty(texts: TokenTexts, encoder: Encoder) -> None:
    ids = encoder.encode(["🦊日本 \u200b"])[0].tolist()
    assert "" in texts.row(ids)
    alone = texts.row(ids, range(len(ids)))
    assert all(alone)
    assert all(texts.one(token) for token in range(2000))
    assert "".join(re.sub(r"^(\\x[0-9a-f]{2})+$", "", text) for text in alone) == "🦊日本 \u200b"
