from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.text import token_cache
from ghosttrack_cli.text.token_cache import WordMemory
from ghosttrack_cli.text.tokens import Encoder, piece_bounds, runs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

quick = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
END = "<|endoftext|>"
ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
SPACES = st.text(" \n\t\r\x0b\x1c\x1f\x85\xa0 　a1!é'ßs二\0", max_size=80)


@pytest.fixture(scope="session")
def bpe() -> PreTrainedTokenizerFast:
    """A trained byte-level BPE of GPT-2's kind, with merges across all sorts of words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = [str(member.__doc__) for member in vars(np).values()]
    tokenizer.train_from_iterator([*texts, "  \n\n\n    \t\t 11 22 !!  ??\n\n" * 50], trainer)
    make: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerFast = make(tokenizer_object=tokenizer, eos_token=END)
    return made


def plain(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)[
        "input_ids"
    ]
    return ids


@quick
@given(texts=st.lists(ANYTHING | SPACES, min_size=1, max_size=4))
def test_ids_equal_the_tokenizers_whatever_the_batch(texts: list[str], bpe: Any) -> None:
    for encoder in (Encoder(bpe), Encoder(bpe, remember_words=False)):
        for _ in range(2):
            assert [ids.tolist() for ids in encoder.encode(texts)] == [plain(bpe, t) for t in texts]


def test_one_missing_end_stands_in_for_the_other(bpe: Any) -> None:
    encoder = Encoder(bpe)
    assert encoder.bos == encoder.eos == bpe.eos_token_id


def test_a_tokenizer_without_either_is_refused() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    with pytest.raises(ModelError, match="no beginning-of-text or end-of-text token"):
        Encoder(make(tokenizer_object=Tokenizer(models.BPE())))


def test_truncation_and_padding_of_the_tokenizer_do_not_count(bpe: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    private = make(
        tokenizer_object=bpe.backend_tokenizer.from_str(bpe.backend_tokenizer.to_str()),
        eos_token=END,
    )
    private.backend_tokenizer.enable_truncation(3)
    private.backend_tokenizer.enable_padding()
    texts = ["a long text of many tokens", "short"]
    assert [ids.tolist() for ids in Encoder(private).encode(texts)] == [
        plain(bpe, t) for t in texts
    ]


@given(text=st.text("ab \n", max_size=200), limit=st.integers(1, 30))
def test_pieces_cover_the_text_and_keep_to_the_limit(text: str, limit: int) -> None:
    bounds = piece_bounds(text, limit)
    assert bounds[0] == 0
    assert bounds[-1] == len(text)
    lengths = np.diff(bounds)
    assert (lengths <= limit).all()
    assert (lengths > 0).all() or not text


@quick
@given(
    words=st.lists(st.text("ab1!é'", min_size=1, max_size=8), min_size=1, max_size=40),
    limit=st.integers(10, 30),
)
def test_pieces_between_words_do_not_change_the_tokens(
    words: list[str], limit: int, bpe: Any
) -> None:
    text = " ".join(words).replace(" a", "\na")
    bounds = piece_bounds(text, limit)
    pieces = [text[start:stop] for start, stop in pairwise(bounds)]
    assert [token for piece in pieces for token in plain(bpe, piece)] == plain(bpe, text)


def test_no_character_is_a_space_only_for_the_memory_of_words(bpe: Any) -> None:
    encoder = Encoder(bpe)
    assert encoder._words is not None
    blocks = [range(0x100), range(0x2000, 0x2070), range(0x2FF0, 0x3010), [0x1680, 0x180E, 0xFEFF]]
    characters = [chr(code) for block in blocks for code in block]
    texts = [f"a{c}  b {c}c{c}\n\n{c} !{c}{c}" for c in characters]
    expected = bpe(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert [ids.tolist() for ids in encoder.encode(texts)] == expected


@pytest.mark.parametrize("change", ["add_prefix_space", "added_token", "normalizer"])
def test_other_kinds_of_tokenizers_are_left_alone(change: str, bpe: Any) -> None:
    from tokenizers import AddedToken, normalizers, pre_tokenizers

    backend = bpe.backend_tokenizer.from_str(bpe.backend_tokenizer.to_str())
    assert WordMemory.fits(backend)
    if change == "add_prefix_space":
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    elif change == "added_token":
        backend.add_tokens([AddedToken("  two spaces")])
    else:
        backend.normalizer = normalizers.NFC()
    assert not WordMemory.fits(backend)


def test_the_memory_of_words_is_bounded(bpe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_cache, "MAX_WORDS", 50)
    encoder = Encoder(bpe)
    for number in range(20):
        text = " ".join(str(word) for word in range(10 * number, 10 * number + 10)) + "x" * 100
        assert encoder.encode([text])[0].tolist() == plain(bpe, text)
    assert encoder._words is not None
    assert len(encoder._words._known) < 70


@given(lengths=st.lists(st.integers(0, 2**20), max_size=12))
def test_runs_keep_the_pieces_and_bound_the_work(lengths: list[int]) -> None:
    pieces = ["x" * length for length in lengths]
    found = list(runs(pieces))
    assert [piece for run in found for piece in run] == pieces
    assert all(sum(map(len, run)) <= 2**20 for run in found)
