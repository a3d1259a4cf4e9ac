"""The pass over the rows: to its end, or as far as it came and saved there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.errors import CorpusError, Stopped
from ghosttrack_cli.interpretation.collect.row_batch import with_batch
from ghosttrack_cli.interpretation.parts import ROWS
from ghosttrack_cli.interpretation.state import Place
from ghosttrack_cli.machine import clock
from ghosttrack_cli.monitor import Monitor, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ghosttrack_cli.interpretation.collect.layer_pass import LayerPass
    from ghosttrack_cli.interpretation.collect.row_batch import RowSource
    from ghosttrack_cli.interpretation.state import PassState
    from ghosttrack_cli.report.facts import SourceFacts

SAVE_SECONDS = 60.0


def read_rows(
    source: RowSource, passes: Sequence[LayerPass], state: PassState, monitor: Monitor
) -> SourceFacts:
    """Take all rows of `source` through `passes`, from where `state` has come to.

    It is saved every SAVE_SECONDS and when a signal comes.

    Raises:
        Stopped: a signal came; the state is saved.
        CorpusError: there are no rows.
    """
    place = state.load(passes)
    if place is None:
        state.remove()
        place = Place(None, source.facts, done=False)
    elif not place.done:
        monitor.notice(f"resuming after {place.facts.rows:,} rows")
    if not place.done:
        place = _read_on(source, passes, state, monitor, place)
    if place.facts.rows == 0:
        raise CorpusError(f"no text to read: {source.facts.name}")
    return place.facts


def _read_on(
    source: RowSource,
    passes: Sequence[LayerPass],
    state: PassState,
    monitor: Monitor,
    place: Place,
) -> Place:
    saved = clock.monotonic()
    for batch in source.batches([one.layer for one in passes], place.cursor):
        for one in passes:
            one.update(batch)
        place = Place(batch.cursor, with_batch(place.facts, batch), done=False)
        monitor.progress(_progress(passes, place.facts.rows, source.total_rows))
        signal_number = monitor.stop_signal()
        if signal_number is not None or clock.monotonic() - saved > SAVE_SECONDS:
            state.save(place, passes)
            saved = clock.monotonic()
        if signal_number is not None:
            raise Stopped(signal_number)
    for one in passes:
        one.collector.finish()
    place = Place(place.cursor, place.facts, done=True)
    state.save(place, passes)
    return place


def _progress(passes: Sequence[LayerPass], done: int, total: int | None) -> Progress:
    rows = max(1, passes[0].kept.rows)
    active = sum(int((one.collector.moments.firings > 0).sum()) for one in passes)
    figures: dict[str, float | str] = {
        "L0": passes[0].kept.l0 / rows,
        "features seen": f"{active:,}",
    }
    return Progress(ROWS.name, done, total, "tokens", figures)
