"""Rows made by running texts through the language model, each in windows of its context length.

N rows of a batch, B texts, T tokens of the longest, D d_model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.interpretation.collect.events import Rows
from ghosttrack_cli.interpretation.collect.row_batch import BATCH_ROWS, JSON, RowBatch, RowCount
from ghosttrack_cli.interpretation.sources.slugs import limited
from ghosttrack_cli.report.facts import SourceFacts
from ghosttrack_cli.settings.catalogue import DEFAULT_CONTEXT
from ghosttrack_cli.text.position import checked_position
from ghosttrack_cli.text.tokens import Encoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from ghosttrack_cli.interpretation.collect.arrays import IntArray
    from ghosttrack_cli.interpretation.sources.prompt_sets import Text, Texts
    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.settings.schema import InterpretationSettings
    from ghosttrack_cli.site import AnySite

TEXT_BITS, LONG_BITS = 20, 42
"""Rows of a text are numbered below 2**20, its further millions from 2**42 on: all differ."""
FORWARD_TOKENS = 4096


@dataclass(frozen=True)
class Window:
    """Token ids of a text, opened by the beginning-of-text token.

    `first_row` is the number of the text's rows in windows before this one.
    """

    text: Text
    ids: IntArray
    opening: int
    truncated: bool = False
    first_row: int = 0


class TextSource:
    """The texts of `texts` as rows, each in as many windows as it needs.

    Texts that stay together, a question with its answers, are a window each, cut at the context.
    """

    def __init__(
        self,
        texts: Texts,
        model: ResidualModel,
        settings: InterpretationSettings,
        *,
        max_texts: int | None = None,
    ) -> None:
        self._texts = texts
        self._model = model
        self._encoder = Encoder(model.tokenizer)
        self._context = min(model.max_context, DEFAULT_CONTEXT)
        self._slug = limited(texts.slug, settings)
        self._max_texts = settings.max_texts or max_texts
        self._max_tokens = settings.max_tokens
        self.total_rows: int | None = settings.max_tokens

    @property
    def facts(self) -> SourceFacts:
        """What is read."""
        return SourceFacts(
            kind=self._texts.kind,
            slug=self._slug,
            name=self._texts.name,
            texts=0,
            windows=0,
            rows=0,
            context_length=self._context,
            truncated=0,
            skipped_files=self._texts.skipped_files(),
        )

    def identity(self) -> dict[str, JSON]:
        """The texts, how many of them, and how they are cut."""
        return {
            "texts": self._texts.identity(),
            "max_texts": self._max_texts,
            "max_tokens": self._max_tokens,
            "context_length": self._context,
        }

    def batches(self, layers: Sequence[AnySite], cursor: JSON | None) -> Iterator[RowBatch]:
        """The batches from `cursor` on."""
        windows: list[Window] = []
        place: JSON = cursor
        for group, after in self._groups(cursor):
            # The last batch's place is the end: after what is left out behind the last text.
            if group and sum(len(window.ids) for window in windows) >= BATCH_ROWS:
                yield self._batch(windows, layers, place)
                windows = []
            windows += group
            place = after
        if windows:
            yield self._batch(windows, layers, place)

    def _groups(self, cursor: JSON | None) -> Iterator[tuple[list[Window], JSON]]:
        """Windows that stay together up to the limits, with the cursor after them.

        A cursor is the state before a text, and how many of its windows were read.
        """
        before, texts, rows, skipped = _place(cursor)
        for group, after in self._texts.groups(before):
            parts = self._windows(group)
            for number, windows in enumerate(parts[skipped:], start=skipped + 1):
                texts += _begun(windows)
                rows += sum(len(window.ids) for window in windows)
                if self._exceeds(texts, rows):
                    if rows == sum(len(window.ids) for window in windows):  # the first of all
                        raise self._limit_too_small(texts, rows)
                    return
                done = number == len(parts)
                state, read = (after, 0) if done else (before, number)
                yield windows, {"state": state, "texts": texts, "rows": rows, "windows": read}
            before, skipped = after, 0

    def _exceeds(self, texts: int, rows: int) -> bool:
        too_many = self._max_texts is not None and texts > self._max_texts
        return too_many or (self._max_tokens is not None and rows > self._max_tokens)

    def _limit_too_small(self, texts: int, rows: int) -> UsageError:
        """The limits leave nothing to read: the first text, or question, is beyond them."""
        if self._max_texts is not None and texts > self._max_texts:
            return UsageError(
                f"--max-texts {self._max_texts} is less than the {texts} answers to one question",
                hint=f"--max-texts {texts} or more",
            )
        return UsageError(
            f"--max-tokens {self._max_tokens} is less than the first window has: {rows:,} tokens",
            hint=f"--max-tokens {rows} or more",
        )

    def _windows(self, group: Sequence[Text]) -> list[list[Window]]:
        """The windows of a group, those that stay together in one list."""
        parts = self._encoder.encode([part for text in group for part in (text.opening, text.rest)])
        if len(group) == 1 and not group[0].rest:
            return [[window] for window in self._whole(group[0], parts[0])]
        triples = zip(group, parts[::2], parts[1::2], strict=True)
        return [[self._cut(text, opening, rest) for text, opening, rest in triples]]

    def _whole(self, text: Text, tokens: IntArray) -> Iterator[Window]:
        """A text of whatever length, window after window."""
        step = self._context - 1
        for number, start in enumerate(range(0, max(1, len(tokens)), step)):
            ids = np.concatenate([[self._encoder.bos], tokens[start : start + step]])
            yield Window(text, ids, len(ids), first_row=number * self._context)

    def _cut(self, text: Text, opening: IntArray, rest: IntArray) -> Window:
        ids = np.concatenate([[self._encoder.bos], opening, rest])
        cut = ids[: self._context]
        return Window(text, cut, 1 + len(opening), truncated=len(cut) < len(ids))

    def _batch(
        self, windows: Sequence[Window], layers: Sequence[AnySite], cursor: JSON
    ) -> RowBatch:
        return RowBatch(
            rows=_rows(windows),
            x=self._residuals(windows, layers),
            cursor=cursor,
            texts=_begun(windows),
            windows=len(windows),
            truncated=sum(window.truncated for window in windows),
            left_out=self._texts.left_out(cursor["state"]),
        )

    def _residuals(
        self, windows: Sequence[Window], layers: Sequence[AnySite]
    ) -> dict[AnySite, Tensor]:
        """The residual streams of all windows, one after the other, (N, D) for each layer.

        Windows of similar length go through together, so that little of a batch is padding.
        """
        found: dict[AnySite, dict[int, Tensor]] = {layer: {} for layer in layers}
        for members in _by_length(windows):
            streams = self._forward([windows[i].ids for i in members], layers)
            for layer, stream in streams.items():  # (B, T, D)
                for row, i in enumerate(members):
                    found[layer][i] = stream[row, : len(windows[i].ids)]
        return {
            layer: torch.cat([parts[i] for i in range(len(windows))]).float()
            for layer, parts in found.items()
        }

    def _forward(
        self, sequences: Sequence[IntArray], layers: Sequence[AnySite]
    ) -> dict[AnySite, Tensor]:
        longest = max(map(len, sequences))
        ids = torch.full((len(sequences), longest), self._encoder.eos)  # (B, T)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.from_numpy(sequence)
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        mask = (torch.arange(longest) < lengths[:, None]).long()
        # Without padding the mask says nothing, and attention is faster without one.
        return self._model.residuals(ids, layers, None if bool(mask.all()) else mask)

    def count_rows(self, at_most: int) -> RowCount:
        """All rows if they are no more than `at_most`, else as the first ones let expect."""
        texts = rows = 0
        for _, place in self._groups(None):
            texts, rows = place["texts"], place["rows"]
            if rows >= at_most:
                return self._expected(texts, rows)
        return RowCount(rows, "exactly")

    def _expected(self, texts: int, rows: int) -> RowCount:
        """What `texts` texts of `rows` rows let expect of all of them."""
        limits = [self._max_tokens] if self._max_tokens else []
        limits += [rows * self._max_texts // texts] if self._max_texts else []
        return RowCount(min(limits), "about") if limits else RowCount(rows, "at least")

    def probe(self, max_rows: int) -> Iterator[Tensor]:
        """The first windows, at most `max_rows` rows."""
        rows = 0
        for windows, _ in self._groups(None):
            rows += sum(len(window.ids) for window in windows)
            if rows > max_rows:
                return
            for window in windows:
                yield torch.from_numpy(window.ids)


def _begun(windows: Sequence[Window]) -> int:
    """How many texts begin in `windows`."""
    return sum(window.first_row == 0 for window in windows)


def _by_length(windows: Sequence[Window]) -> Iterator[list[int]]:
    """Indices of windows in groups of at most FORWARD_TOKENS tokens, padding included."""
    order = sorted(range(len(windows)), key=lambda i: (-len(windows[i].ids), i))
    while order:
        size = max(1, FORWARD_TOKENS // len(windows[order[0]].ids))
        yield order[:size]
        order = order[size:]


def _rows(windows: Sequence[Window]) -> Rows:
    lengths = [len(window.ids) for window in windows]
    positions = np.concatenate([np.arange(length) for length in lengths])

    def spread(values: list[int]) -> IntArray:
        return np.repeat(np.array(values, np.int64), lengths)

    documents = spread([window.text.number for window in windows])
    in_text = positions + spread([window.first_row for window in windows])
    in_rest = positions >= spread([window.opening for window in windows])
    seen = spread([int(window.text.opening_seen) for window in windows]) == 1
    return Rows(
        token_ids=np.concatenate([window.ids for window in windows]),
        numbers=_numbers(documents, in_text),
        windows=np.repeat(np.arange(len(windows)), lengths),
        documents=documents,
        positions=positions,
        kept=np.ones(len(positions), bool),
        counted=in_rest | ~seen,
        answers=np.where(in_rest, spread([window.text.answer for window in windows]), 0),
        questions=spread([window.text.question for window in windows]),
    )


def _numbers(documents: IntArray, rows: IntArray) -> IntArray:
    """A number for each row of each document: document * 2**20 + row, as long as that fits."""
    return (rows >> TEXT_BITS << LONG_BITS) + (documents << TEXT_BITS) + rows % (1 << TEXT_BITS)


def _place(cursor: JSON | None) -> tuple[JSON | None, int, int, int]:
    """The state before a text; texts and rows so far, and the windows read of that text.

    Raises:
        CorruptionError: there is no such place.
    """
    place = {"state": None, "texts": 0, "rows": 0, "windows": 0} if cursor is None else cursor
    counts = {k: v for k, v in place.items() if k != "state"} if isinstance(place, dict) else None
    found = checked_position(counts, "the texts", ("texts", "rows", "windows"))
    return place.get("state"), found["texts"], found["rows"], found["windows"]
