"""What a source of rows hands to the pass, whether it reads a store or runs a model.

N rows of a batch, D d_model.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from ghosttrack_cli.quantities import counted
from ghosttrack_cli.text.usable_texts import LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from ghosttrack_cli.interpretation.collect.events import Rows
    from ghosttrack_cli.report.facts import SourceFacts
    from ghosttrack_cli.site import AnySite

JSON: TypeAlias = Any
BATCH_ROWS = 4096
LEFT_OUT = tuple(field.name for field in fields(LeftOut))
"""Counts that `SourceFacts` has, too."""


@dataclass(frozen=True)
class RowBatch:
    """Rows of whole windows with the residual stream of each layer on them, x (N, D) float32.

    `cursor` is where the next batch starts; `texts` and `truncated` count the texts that begin in
    this batch and the answers in it that were cut at the context length. `left_out` counts the
    texts that were left out from the beginning to the end of this batch; None: as the facts have
    it.
    """

    rows: Rows
    x: Mapping[AnySite, Tensor]
    cursor: JSON
    texts: int
    windows: int
    truncated: int = 0
    left_out: LeftOut | None = None


@dataclass(frozen=True)
class RowCount:
    """How many rows there will be, and how well that is known."""

    number: int
    known: Literal["exactly", "about", "at least"]


class RowSource(Protocol):
    """Rows in a fixed order that can be left and taken up again."""

    @property
    def facts(self) -> SourceFacts:
        """Kind, name and context length; the counts are 0."""
        ...

    @property
    def total_rows(self) -> int | None:
        """How many rows there will be, if that is known beforehand."""
        ...

    def identity(self) -> dict[str, JSON]:
        """What must be equal for an unfinished pass to go on, and a finished one to be current."""
        ...

    def batches(self, layers: Sequence[AnySite], cursor: JSON | None) -> Iterator[RowBatch]:
        """The batches from `cursor` on, or from the beginning."""
        ...

    def count_rows(self, at_most: int) -> RowCount:
        """How many rows there are; where each must be made to be counted, about `at_most` are."""
        ...

    def probe(self, max_rows: int) -> Iterator[Tensor]:
        """Windows of token ids, (T,) each, from the beginning: at most `max_rows` rows."""
        ...


def with_batch(facts: SourceFacts, batch: RowBatch) -> SourceFacts:
    """The facts after one more batch."""
    texts = None if facts.texts is None else facts.texts + batch.texts
    counts = {
        "texts": texts,
        "windows": facts.windows + batch.windows,
        "rows": facts.rows + len(batch.rows),
        "truncated": facts.truncated + batch.truncated,
    }
    if batch.left_out is not None:
        counts |= {name: getattr(batch.left_out, name) for name in LEFT_OUT}
    return facts.model_copy(update=counts)


def not_read(facts: SourceFacts) -> list[str]:
    """What of the texts was not read, or not as it is, in sentences without a full stop."""
    sentences = LeftOut(**{name: getattr(facts, name) for name in LEFT_OUT}).sentences()
    if facts.truncated:
        sentences.append(
            f"cut: {facts.truncated:,} of {counted(facts.texts or 0, 'text')}, of which only the"
            f" first {facts.context_length:,} tokens were read"
        )
    return sentences
