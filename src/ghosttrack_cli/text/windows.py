"""Windows of tokens: documents joined by the end-of-text token, cut without padding or loss.

B batch, T context. The stream is doc0 EOT doc1 EOT ..., and a window is BOS and the next T - 1
tokens of it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ghosttrack_cli.errors import CorpusError, HubError
from ghosttrack_cli.monitor import SILENT, Monitor
from ghosttrack_cli.text.cursor import Cursor, text_hash
from ghosttrack_cli.text.prefetch import Ahead
from ghosttrack_cli.text.retry import RetryingStream
from ghosttrack_cli.text.tokens import Encoder
from ghosttrack_cli.text.usable_texts import LeftOut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self, TypeAlias

    from numpy.typing import NDArray

    from ghosttrack_cli.text.documents import JSON, Corpus, Document

    _Group: TypeAlias = list[tuple[JSON, Document]]

FIRST_GROUP_CHARACTERS = 2**14
GROUP_CHARACTERS = 2**19
GROUPS_AHEAD = 6
"""Texts are encoded in groups of about this many characters, so many groups ahead.

The first groups are smaller, so that the model need not wait for its first batch.
"""


@dataclass(frozen=True)
class WindowBatch:
    """B windows of T tokens; a document's rows are its tokens and the end-of-text after it.

    The token that opens a window belongs to the document that follows. `cursor_before` starts
    another `TokenWindows` at this very batch.
    """

    input_ids: NDArray[np.int64]  # (B, T)
    doc_ids: NDArray[np.int64]  # (B, T)
    positions: NDArray[np.int32]  # (B, T)
    cursor_before: dict[str, JSON]
    index: int


@dataclass
class _Encoded:
    """A document's tokens with the end-of-text token, of which `taken` are used."""

    id: int
    sha256: str
    state: JSON | None
    tokens: NDArray[np.int64]  # (tokens,)
    taken: int = 0

    def take(self, count: int) -> NDArray[np.int64]:
        self.taken += count
        assert self.taken <= len(self.tokens)
        return self.tokens[self.taken - count : self.taken]

    @property
    def left(self) -> int:
        return len(self.tokens) - self.taken


class TokenWindows:
    """All windows of a corpus in batches of `batch_size`, read and tokenised ahead in a thread.

    At the end of the corpus come the full windows left, then a shorter one as a batch of its own.
    From a `cursor` (JSON, of a batch) the same batches follow, bit for bit.

    With `spare_cores` off a model takes every core. The thread then only reads; the caller
    tokenises when it asks for a batch, with a memory of words, in the least processor time.

    Raises:
        ConflictError: the corpus is not the cursor's.
        CorpusError, HubError: from the corpus, in the iteration.
        Stopped: a signal came while the iteration waited for text; nothing is lost by it.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Any,
        *,
        context_length: int,
        batch_size: int,
        cursor: JSON | None = None,
        monitor: Monitor = SILENT,
        retry_minutes: float = 10.0,
        spare_cores: bool = False,
    ) -> None:
        assert context_length > 1
        assert batch_size > 0
        self.context_length = context_length
        self.batch_size = batch_size
        self._corpus = corpus
        self._encoder = Encoder(tokenizer, remember_words=not spare_cores)
        self._spare_cores = spare_cores
        self._monitor = monitor
        self._retry_minutes = retry_minutes
        identity = corpus.identity()
        if cursor is None:
            self._start = Cursor(identity, None, 0, 0, None, 0)
        else:
            self._start = Cursor.from_json(cursor)
            self._start.check_corpus(identity)
        self._ahead: Ahead[Any] | None = None
        self._stream: RetryingStream | None = None
        self._packer = _Packer(self._start, self._encoder.bos, context_length)

    @property
    def left_out(self) -> LeftOut:
        """What the corpus left out before the last document taken; at its end, altogether."""
        if self._packer.ended and self._stream is not None:
            return LeftOut.of(self._stream.state())
        return LeftOut.of(self._packer.state)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread; an iteration that is not read to its end needs it."""
        if self._ahead is not None:
            self._ahead.close()

    def __iter__(self) -> Iterator[WindowBatch]:
        self.close()
        self._packer = _Packer(self._start, self._encoder.bos, self.context_length)
        try:
            yield from self._packer.batches(self._encoded_ahead(), self.batch_size)
        finally:
            self.close()

    def _encoded_ahead(self) -> Iterable[list[_Encoded]]:
        def both(wanted: Callable[[], bool]) -> Iterator[list[_Encoded]]:
            return self._encode_groups(self._read_groups(wanted))

        produce = both if self._spare_cores else self._read_groups
        self._ahead = Ahead[Any](produce, depth=GROUPS_AHEAD, monitor=self._monitor)
        return self._ahead if self._spare_cores else self._encode_groups(self._ahead)

    def _read_groups(self, wanted: Callable[[], bool]) -> Iterator[_Group]:
        self._stream = RetryingStream(
            self._corpus,
            self._start.state,
            monitor=self._monitor,
            retry_minutes=self._retry_minutes,
            wanted=wanted,
        )
        return _groups(self._stream)

    def _encode_groups(self, groups: Iterable[_Group]) -> Iterator[list[_Encoded]]:
        first = True
        for group in groups:
            encoded = self._encode(group)
            if first:
                self._start.check_document(group[0][1])
                encoded[0].take(self._start.offset)
            first = False
            yield encoded
        if first:
            self._start.check_document(None)

    def _encode(self, group: _Group) -> list[_Encoded]:
        ids = self._encoder.encode([document.text for _, document in group])
        return [
            _Encoded(
                document.id, text_hash(document.text), state, np.append(tokens, self._encoder.eos)
            )
            for (state, document), tokens in zip(group, ids, strict=True)
        ]


def _groups(stream: RetryingStream) -> Iterator[_Group]:
    group: _Group = []
    characters, enough = 0, FIRST_GROUP_CHARACTERS
    state = stream.state()
    try:
        for document in stream:
            group.append((state, document))
            state = stream.state()
            characters += len(document.text)
            if characters >= enough:
                yield group
                group, characters = [], 0
                enough = min(2 * enough, GROUP_CHARACTERS)
    except (CorpusError, HubError):
        if group:  # what came before the stream broke is not lost
            yield group
        raise
    if group:
        yield group


class _Packer:
    """Cuts the stream of tokens into windows and knows the cursor of each batch."""

    def __init__(self, start: Cursor, bos: int, context_length: int) -> None:
        self._start = start
        self._bos = bos
        self._width = context_length - 1
        self._pending: deque[_Encoded] = deque()
        self._left = 0
        self._batch = start.batch
        self.state = start.state
        """The stream's state before the last document taken."""
        self.ended = False
        """Whether the corpus has been read to its end."""

    def batches(self, groups: Iterable[list[_Encoded]], batch_size: int) -> Iterator[WindowBatch]:
        for group in groups:
            self._pending.extend(group)
            self._left += sum(document.left for document in group)
            while self._left >= batch_size * self._width:
                yield self._cut(batch_size, self._width)
        self.ended = True
        while self._left:
            full = min(batch_size, self._left // self._width)
            yield self._cut(full, self._width) if full else self._cut(1, self._left)

    def _cut(self, windows: int, width: int) -> WindowBatch:
        cursor = self._cursor().to_json()
        tokens, owners = self._take(windows * width)
        input_ids = np.full((windows, width + 1), self._bos, dtype=np.int64)
        input_ids[:, 1:] = tokens.reshape(windows, width)
        doc_ids = np.empty_like(input_ids)
        doc_ids[:, 1:] = owners.reshape(windows, width)
        doc_ids[:, 0] = doc_ids[:, 1]
        positions = np.tile(np.arange(width + 1, dtype=np.int32), (windows, 1))
        self._batch += 1
        return WindowBatch(input_ids, doc_ids, positions, cursor, self._batch - 1)

    def _cursor(self) -> Cursor:
        head = self._head()
        sha256 = head.sha256 if head.taken else None
        return Cursor(self._start.identity, head.state, head.id, head.taken, sha256, self._batch)

    def _head(self) -> _Encoded:
        while not self._pending[0].left:
            self._pending.popleft()
        return self._pending[0]

    def _take(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        self._left -= count
        parts, owners = [], []
        while count:
            head = self._head()
            part = head.take(min(count, head.left))
            count -= len(part)
            parts.append(part)
            self.state = head.state
            owners.append(np.full(len(part), head.id, dtype=np.int64))
        return np.concatenate(parts), np.concatenate(owners)
