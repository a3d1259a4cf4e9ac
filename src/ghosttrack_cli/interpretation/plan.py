"""What an interpretation is going to take: rows, passes, memory, and time by a look at its parts.

Nothing is written. Each part of the work is done for a small piece of it, with the model, the SAE
and the texts of the run itself, and the time is multiplied: rows of the first batches, a few
features' weights and reports, a few rows' losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ghosttrack_cli.browser.pack import feature_files
from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.interpretation.collect.answer_pairs import PairFinder
from ghosttrack_cli.interpretation.features.feature_reports import FeatureBuilder
from ghosttrack_cli.interpretation.features.loss_recovered import (
    PROBE_ROWS,
    Splice,
    measure_recovered,
)
from ghosttrack_cli.interpretation.jobs import groups
from ghosttrack_cli.interpretation.parts import COUNTING, TIMING
from ghosttrack_cli.machine import clock
from ghosttrack_cli.report.feature_schema import SHARD_FEATURES, FeatureShard
from ghosttrack_cli.report.report_files import original_record
from ghosttrack_cli.report.script import script
from ghosttrack_cli.site import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ghosttrack_cli.interpretation.collect.layer_pass import LayerPass
    from ghosttrack_cli.interpretation.collect.row_batch import RowBatch, RowCount
    from ghosttrack_cli.interpretation.jobs import Job
    from ghosttrack_cli.interpretation.stage import Stage
    from ghosttrack_cli.site import AnySite

Result = TypeVar("Result")
COUNTED_ROWS = 1 << 18
BATCHES, LOSS_ROWS = 2, 512


@dataclass(frozen=True)
class InterpretationPlan:
    """`seconds` by part: rows, weights, loss, report, and answers where true and false are told.

    They are of this machine at this moment.
    """

    layers: tuple[AnySite, ...]
    todo: tuple[AnySite, ...]
    rows: RowCount
    passes: int
    state_bytes: int
    probed_rows: int
    seconds: dict[str, float]

    @property
    def total_seconds(self) -> float:
        """All parts together."""
        return sum(self.seconds.values())


def plan_interpretation(
    stage: Stage, layers: Sequence[AnySite], *, again: bool = False
) -> InterpretationPlan:
    """Look at a little of the work that `stage` would do for `layers`.

    Raises:
        CorpusError: there is no text to read.
    """
    stage.monitor.begin(COUNTING)
    rows = stage.source.count_rows(COUNTED_ROWS)
    if rows.number == 0:
        raise CorpusError(f"no text to read: {stage.source.facts.name}")
    return plan_jobs(stage, layers, stage.todo(layers, again=again), rows)


def plan_jobs(
    stage: Stage, layers: Sequence[AnySite], todo: Sequence[Job], rows: RowCount
) -> InterpretationPlan:
    """Look at a little of the work for the layers `todo`, on so many rows."""
    together = list(groups(todo, stage.settings))
    stage.monitor.begin(TIMING)
    probe = Probe(stage, todo) if todo else None
    largest = max((sum(job.features for job in group) for group in together), default=0)
    return InterpretationPlan(
        layers=in_order(layers),
        todo=tuple(job.layer for job in todo),
        rows=rows,
        passes=len(together),
        state_bytes=probe.bytes_a_feature * largest if probe else 0,
        probed_rows=probe.rows if probe else 0,
        seconds=probe.seconds(rows.number, len(together)) if probe else {},
    )


class Probe:
    """The first of some layers, taken through a little of everything."""

    def __init__(self, stage: Stage, jobs: Sequence[Job]) -> None:
        self.stage = stage
        self.jobs = jobs
        self.features = sum(job.features for job in jobs)
        first = jobs[0]
        self._batch: RowBatch | None = None
        self._weights, self._facts = timed(lambda: stage.weight_facts(first.trained))
        self._pass = stage.layer_pass(first, self._facts)
        self._source, self._update, self.rows = self._read(self._pass)
        self._pass.collector.finish()
        self._answers = self._compare_answers()
        state = sum(array.nbytes for array in self._pass.collector.arrays().values())
        self.bytes_a_feature = state // first.features

    def _read(self, one: LayerPass) -> tuple[float, float, int]:
        """Seconds a row of the source and of the pass; the first batch, of several, warms up."""
        batches = self.stage.source.batches([job.layer for job in self.jobs], None)
        source = update = 0.0
        seen = rows = 0
        for _ in range(BATCHES):
            seconds, batch = timed(lambda: next(batches, None))
            if batch is None:
                break
            spent, _ = timed(lambda batch=batch: one.update(batch))  # type: ignore[misc]
            source, update, rows = seconds, spent, len(batch.rows)
            seen += rows
            self._batch = batch
        return source / rows, update / rows, seen

    def seconds(self, rows: int, passes: int) -> dict[str, float]:
        """Seconds by part for so many rows: what the first layer takes, times the features."""
        share = self.features / self.jobs[0].features
        answers = None
        if self._answers is not None:
            answers = rows * (passes * self._source + len(self.jobs) * self._answers)
        found = {
            "rows": rows * (passes * self._source + share * self._update),
            "weights": share * self._weights,
            "answers": answers,
            "loss": len(self.jobs) * min(rows, PROBE_ROWS) * self._loss(),
            "report": self.features * self._report(),
        }
        return {part: seconds for part, seconds in found.items() if seconds is not None}

    def _compare_answers(self) -> float | None:
        """Seconds a row for the answers side by side; None where no text is an answer."""
        contrast, batch = self._pass.collector.contrast.result(), self._batch
        if contrast is None or batch is None:
            return None
        finder = PairFinder(
            self._pass, [entry.feature for entry in contrast.entries], self.stage.texts
        )
        seconds, _ = timed(lambda: finder.update(batch))
        return seconds / len(batch.rows)

    def _loss(self) -> float:
        """Seconds a row for splicing the SAE into the model."""
        job, sums = self.jobs[0], self._pass.kept
        mean = sums.mean_sum / max(1, sums.rows)
        splice = Splice(job.layer, self._pass.sae, mean, job.median_norm)
        windows = list(self.stage.source.probe(LOSS_ROWS))
        seconds, _ = timed(lambda: measure_recovered(self.stage.model, [splice], windows))
        return seconds / max(1, sum(map(len, windows)))

    def _report(self) -> float:
        """Seconds a feature for its report and its place in the page."""
        collector, count = self._pass.collector, self.jobs[0].features
        builder = FeatureBuilder(collector, self._facts, self.stage.texts)
        chosen = range(0, count, max(1, count // SHARD_FEATURES))
        seconds, _ = timed(lambda: _write_nowhere(builder, chosen))
        return seconds / len(chosen)


def _write_nowhere(builder: FeatureBuilder, chosen: Sequence[int]) -> None:
    """The original's records of features and their shard, read back and packed for the page."""
    reports = [builder.feature(feature) for feature in chosen]
    for report in reports:
        original_record(report).model_dump_json()
    text = FeatureShard(layer=0, first=0, features=reports).model_dump_json()
    read = FeatureShard.model_validate_json(text).features
    for file in feature_files(read, {}):
        script("probe", file.payload())


def timed(run: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds that `run` took, and what it gave."""
    start = clock.monotonic()
    result = run()
    return clock.monotonic() - start, result
