r"""What tokens read as, one by one and in a row: the text, not the tokenizer's notation for it.

Spaces stand where they are in the text, whatever stands for them in the vocabulary (Ġ, ▁, </w>, or
the lack of ##). A byte-level tokenizer may split a character over tokens. In a row of tokens the
whole character stands in the text of the token that has its first byte, and the others have less;
bytes that make no character show as escapes, such as \xe4, wherever a token stands by itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenTexts:
    """Texts of the tokens of a Hugging Face tokenizer; ids outside its vocabulary have one too."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = {int(number) for number in getattr(tokenizer, "added_tokens_decoder", {})}
        self._byte_of = _byte_alphabet() if _is_byte_level(tokenizer) else {}
        model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
        self._word_end: str = getattr(model, "end_of_word_suffix", None) or ""
        self._inside_word: str = getattr(model, "continuing_subword_prefix", None) or ""
        self._bytes: dict[int, bytes] = {}
        self._whole: dict[int, str | None] = {}

    def one(self, token: int) -> str:
        """The text of a token by itself."""
        whole = self._complete(token)
        return escaped(self.raw(token)) if whole is None else whole

    def row(self, tokens: Sequence[int], alone: Container[int] = ()) -> list[str]:
        """The texts of consecutive tokens; joined, they are the text.

        A token that has only the rest of a character is empty, unless its index is in `alone`:
        then it is shown by itself, as its bytes.
        """
        texts = [self._complete(token) for token in tokens]
        if None not in texts:
            return [text for text in texts if text is not None]
        return [
            escaped(self.raw(token)) if not text and place in alone else text
            for place, (token, text) in enumerate(zip(tokens, self._joined(tokens), strict=True))
        ]

    def raw(self, token: int) -> bytes:
        """The bytes that a token stands for."""
        found = self._bytes.get(token)
        if found is None:
            found = self._bytes[token] = self._look_up(token)
        return found

    def _complete(self, token: int) -> str | None:
        """The text of a token that holds whole characters only, else None."""
        if token not in self._whole:
            try:
                self._whole[token] = self.raw(token).decode()
            except UnicodeDecodeError:
                self._whole[token] = None
        return self._whole[token]

    def _look_up(self, token: int) -> bytes:
        text = self._tokenizer.convert_ids_to_tokens(token)
        if not isinstance(text, str):
            return f"<{token}>".encode()
        if token in self._special:
            return (text or f"<{token}>").encode("utf-8", "backslashreplace")
        return self._plain(text) or f"<{token}>".encode()

    def _plain(self, text: str) -> bytes:
        """What a vocabulary's entry stands for."""
        before, after = "", ""
        if self._word_end and text.endswith(self._word_end):
            text, after = text.removesuffix(self._word_end), " "
        elif self._inside_word:
            before = "" if text.startswith(self._inside_word) else " "
            text = text.removeprefix(self._inside_word)
        if self._byte_of:
            known = all(character in self._byte_of for character in text)
            data = bytes(self._byte_of[c] for c in text) if known else text.encode()
            return before.encode() + data + after.encode()
        byte = BYTE_TOKEN.fullmatch(text)
        if byte:
            return bytes([int(byte[1], 16)])
        spaced = text if self._inside_word else text.replace("\u2581", " ")
        return f"{before}{spaced}{after}".encode("utf-8", "backslashreplace")

    def _joined(self, tokens: Sequence[int]) -> list[str]:
        texts = [""] * len(tokens)
        pieces = [self.raw(token) for token in tokens]
        data = b"".join(pieces)
        owner = [index for index, piece in enumerate(pieces) for _ in piece]
        place = 0
        while place < len(data):
            size = _character(data, place)
            part = data[place : place + max(1, size)]
            texts[owner[place]] += part.decode() if size else escaped(part)
            place += max(1, size)
        return texts


def escaped(data: bytes) -> str:
    r"""Bytes as text, those that make no character as \xNN.

    >>> print(escaped(b"a\xe4b"))
    a\xe4b
    """
    return data.decode("utf-8", "backslashreplace")


def _character(data: bytes, place: int) -> int:
    """How many bytes the character at `place` has; 0 if there is none."""
    for size in (1, 2, 3, 4):
        try:
            data[place : place + size].decode()
        except UnicodeDecodeError:
            continue
        return size
    return 0


def _is_byte_level(tokenizer: Any) -> bool:
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    return "ByteLevel" in str(decoder)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable character of each byte, the other way round.

    Printable Latin-1 stands for itself; the rest follows from U+0100 on, in order.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    moved = {chr(256 + index): byte for index, byte in enumerate(rest)}
    return {chr(byte): byte for byte in printable} | moved
