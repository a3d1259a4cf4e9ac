"""Text to token ids: the same for a text whatever it is batched with, and text stays text."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.text.token_cache import WordMemory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

PIECE_CHARACTERS = 2**20
"""Longer texts are cut here, after a line or before a word, so that memory stays bounded."""


class Encoder:
    """A private copy of a Hugging Face tokenizer that adds no tokens and parses none.

    `bos` opens windows and `eos` ends documents; a tokenizer that has one of them uses it for both.

    `remember_words` takes the least processor time, but all of it inside the interpreter, which
    other threads then wait for. Without it the tokenizer's own threads do the work outside. The ids
    are the same.

    Raises:
        ModelError: the tokenizer has neither a beginning-of-text nor an end-of-text token.
    """

    def __init__(self, tokenizer: Any, *, remember_words: bool = True) -> None:
        bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        if bos is None and eos is None:
            raise ModelError("the tokenizer has no beginning-of-text or end-of-text token")
        self.bos: int = eos if bos is None else bos
        self.eos: int = bos if eos is None else eos
        self._tokenizer = tokenizer
        self._backend = _private_backend(tokenizer)
        fits = remember_words and self._backend is not None and WordMemory.fits(self._backend)
        self._words = WordMemory(self._backend) if fits else None

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """The token ids of each text, (tokens,) int64, without special tokens."""
        bounds = [piece_bounds(text) for text in texts]
        pieces = [
            text[start:stop]
            for text, cuts in zip(texts, bounds, strict=True)
            for start, stop in pairwise(cuts)
        ]
        encoded = chain.from_iterable(map(self._encode_pieces, runs(pieces)))
        return [np.concatenate([next(encoded) for _ in cuts[1:]]) for cuts in bounds]

    def _encode_pieces(self, pieces: list[str]) -> list[NDArray[np.int64]]:
        if self._words is not None:
            return self._words.encode(pieces)
        if self._backend is None:
            rows = self._tokenizer(pieces, add_special_tokens=False, split_special_tokens=True)
            return [np.asarray(ids, dtype=np.int64) for ids in rows["input_ids"]]
        encodings = self._backend.encode_batch_fast(pieces, add_special_tokens=False)
        return [np.asarray(encoding.ids, dtype=np.int64) for encoding in encodings]


def _private_backend(tokenizer: Any) -> Any | None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    private = type(backend).from_str(backend.to_str())
    private.no_truncation()
    private.no_padding()
    private.encode_special_tokens = True  # <|endoftext|> in a text is text
    return private


def runs(pieces: Sequence[str]) -> Iterator[list[str]]:
    """`pieces` in lists of at most PIECE_CHARACTERS together, for what works on a whole list."""
    run: list[str] = []
    characters = 0
    for piece in pieces:
        if run and characters + len(piece) > PIECE_CHARACTERS:
            yield run
            run, characters = [], 0
        run.append(piece)
        characters += len(piece)
    yield run


def piece_bounds(text: str, limit: int = PIECE_CHARACTERS) -> list[int]:
    """Where to cut `text` into pieces of at most `limit` characters: 0, ..., len(text).

    A cut lies after a line break that a visible character follows, else before a space that
    follows one, else at the limit. Byte-level tokenizers never join tokens across the first two.
    """
    bounds = [0]
    while len(text) - bounds[-1] > limit:
        bounds.append(_cut(text, bounds[-1] + 1, bounds[-1] + limit))
    return [*bounds, len(text)]


def _cut(text: str, low: int, high: int) -> int:
    after_line = text.rfind("\n", low, high) + 1
    while after_line > low and text[after_line].isspace():
        after_line = text.rfind("\n", low, after_line - 1) + 1
    if after_line > low:
        return after_line
    before_word = text.rfind(" ", low, high)
    while before_word > low and text[before_word - 1].isspace():
        before_word = text.rfind(" ", low, before_word)
    return before_word if before_word > low else high
