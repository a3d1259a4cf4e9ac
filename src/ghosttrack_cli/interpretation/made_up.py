"""An interpretation before there are SAEs, or rows: made-up ones of the planned sizes, to be timed.

N rows of a batch, D d_model, F d_hidden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ghosttrack_cli.interpretation.collect.events import NO_ANSWER, Rows
from ghosttrack_cli.interpretation.collect.row_batch import BATCH_ROWS, JSON, RowBatch, RowCount
from ghosttrack_cli.interpretation.inputs import Trained
from ghosttrack_cli.interpretation.jobs import Job
from ghosttrack_cli.report.facts import SAEFacts, SourceFacts
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.site import Site
from ghosttrack_cli.workspace import MAIN_SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from ghosttrack_cli.interpretation.collect.row_batch import RowSource
    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.site import AnySite

ROWS_FOR_L0 = 512


class MadeUpRows:
    """As many rows as a store will have, of noise: what they cost is known but for reading them."""

    def __init__(self, model: ResidualModel, rows: int, context_length: int) -> None:
        self._model, self._rows, self._context = model, rows, context_length
        self.total_rows: int | None = rows

    @property
    def facts(self) -> SourceFacts:
        """What is made up."""
        return SourceFacts(
            kind="store",
            slug=MAIN_SOURCE,
            name=MAIN_SOURCE,
            texts=0,
            windows=0,
            rows=0,
            context_length=self._context,
            truncated=0,
        )

    def identity(self) -> dict[str, JSON]:
        """Nothing is kept of it."""
        return {}

    def batches(self, layers: Sequence[AnySite], cursor: JSON | None) -> Iterator[RowBatch]:
        """Batches of noise, whole windows each, one document a window."""
        start = 0 if cursor is None else int(cursor["row"])
        size = max(1, BATCH_ROWS // self._context) * self._context
        while start < self._rows:
            count = min(size, self._rows - start)
            yield self._batch(layers, start, count)
            start += count

    def _batch(self, layers: Sequence[AnySite], start: int, count: int) -> RowBatch:
        generator = torch.Generator().manual_seed(start)
        x = torch.randn(count, self._model.d_model, generator=generator).to(self._model.device)
        numbers = np.arange(start, start + count)
        everything, windows = np.ones(count, bool), numbers // self._context
        rows = Rows(
            token_ids=self._model.some_ids(count).numpy(),
            numbers=numbers,
            windows=windows - windows[0],
            documents=windows,
            positions=numbers % self._context,
            kept=everything,
            counted=everything,
            answers=np.full(count, NO_ANSWER, np.int64),
            questions=np.full(count, NO_ANSWER, np.int64),
        )
        number = int(windows[-1] - windows[0]) + 1
        return RowBatch(
            rows, dict.fromkeys(layers, x), {"row": start + count}, texts=number, windows=number
        )

    def count_rows(self, at_most: int) -> RowCount:  # noqa: ARG002 - they are planned
        """Those that were planned; a corpus may end before."""
        return RowCount(self._rows, "about")

    def probe(self, max_rows: int) -> Iterator[Tensor]:
        """Windows of tokens of the model, at most `max_rows` rows."""
        for _ in range(max(1, min(max_rows, self._rows) // self._context)):
            yield self._model.some_ids(min(self._context, self._rows))


def made_up_job(
    layer: AnySite, model: ResidualModel, source: RowSource, *, d_hidden: int, l0: float
) -> Job:
    """A layer with an SAE of noise on whose features `l0` fire a row, as on a trained one."""
    D, F = model.d_model, d_hidden
    generator = torch.Generator().manual_seed(Site.of(layer).layer)
    directions = torch.nn.functional.normalize(torch.randn(F, D, generator=generator))
    weights = {
        "W_enc": directions.T.contiguous(),
        "b_enc": torch.zeros(F),
        "W_dec": directions,
        "b_dec": torch.zeros(D),
        "threshold": torch.zeros(F),
    }
    sae = JumpReLUSAE.from_weights(weights).to(model.device)
    first = next(source.batches([layer], None)).x[layer][:ROWS_FOR_L0]
    _put_l0(sae, first, l0)
    facts = SAEFacts(
        folder="made-up", checkpoint="best", weights_sha256="0" * 64, d_model=D, d_hidden=F
    )
    return Job(Trained(layer, sae.eval(), facts, None), None, "", {})


@torch.inference_mode()
def _put_l0(sae: JumpReLUSAE, x: Tensor, l0: float) -> None:
    h = sae.pre_acts(x).flatten()
    wanted = min(h.numel(), max(1, round(l0 * len(x))))
    sae.threshold.fill_(float(h.topk(wanted, sorted=True).values[-1].clamp(min=0)))
