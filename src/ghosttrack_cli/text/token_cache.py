"""A memory of the tokens of words, for tokenizers that never join tokens across words.

GPT-2's kind of byte-level BPE first cuts text by a regular expression none of whose pieces has a
space after a visible character. So the tokens of a stretch of spaces and the word behind it do
not depend on what stands around it, and looking them up is several times faster than merging
bytes again.
"""

from __future__ import annotations

import json
import re
from array import array
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WORD = re.compile(r"\s*\S+|\s+")
UNLIKE_SPACE = re.compile("[\x1c-\x1f]")
"""Spaces for Python but not for the tokenizer."""

MAX_WORDS = 2**18
MAX_LENGTH = 48


class WordMemory:
    """Encodes by words with `backend`, a `tokenizers.Tokenizer` that `fits`."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._known: dict[str, bytes] = {}
        self._long: list[str] = []

    @staticmethod
    def fits(backend: Any) -> bool:
        """Whether a tokenizer is of GPT-2's kind and leaves no token to match but special ones."""
        parts = json.loads(backend.to_str())
        cut, model = parts["pre_tokenizer"] or {}, parts["model"]
        return (
            parts["normalizer"] is None
            and cut.get("type") == "ByteLevel"
            and cut.get("use_regex", True)
            and not cut.get("add_prefix_space", True)
            and model["type"] == "BPE"
            and not model.get("dropout")
            and all(token["special"] for token in parts["added_tokens"])
        )

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """The token ids of each text, (tokens,) int64."""
        if len(self._known) > MAX_WORDS:
            self._known.clear()
        words = [[text] if UNLIKE_SPACE.search(text) else WORD.findall(text) for text in texts]
        self._learn(list(set(chain.from_iterable(words)) - self._known.keys()))
        ids = [_join(self._known, parts) for parts in words]
        self._forget_long()
        return ids

    def _learn(self, words: list[str]) -> None:
        encodings = self._backend.encode_batch_fast(words, add_special_tokens=False)
        for word, encoding in zip(words, encodings, strict=True):
            self._known[word] = array("i", encoding.ids).tobytes()
            if len(word) > MAX_LENGTH:
                self._long.append(word)

    def _forget_long(self) -> None:
        for word in self._long:
            del self._known[word]
        self._long.clear()


def _join(found: dict[str, bytes], words: list[str]) -> NDArray[np.int64]:
    return np.frombuffer(b"".join(map(found.__getitem__, words)), np.intc).astype(np.int64)
