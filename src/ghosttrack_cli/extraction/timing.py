"""How long an extraction will take, from one pass of the model itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.machine import clock

if TYPE_CHECKING:
    from ghosttrack_cli.extraction.plan import ExtractionPlan
    from ghosttrack_cli.monitor import Monitor


def seconds(planned: ExtractionPlan, monitor: Monitor) -> float | None:
    """Seconds that the passes of the model take for what is still to be stored.

    The second of two passes of a batch counts. None where there is nothing to do, or where the
    model's weights are not here yet. Text and disk are not in it: on a CPU they wait for the model.
    """
    if planned.action == "nothing" or planned.model.download_bytes:
        return None
    from ghosttrack_cli.extraction import batch_size
    from ghosttrack_cli.extraction.parts import MODEL
    from ghosttrack_cli.model.residual import ResidualModel

    monitor.begin(MODEL)
    model = ResidualModel.load_found(planned.found, notice=monitor.notice)
    context = planned.context_length
    guess = planned.batch_size or batch_size.first_guess(model, planned.layers, context)
    windows = batch_size.probe(model, planned.layers, context, guess, monitor)
    ids = model.some_ids(windows * context).reshape(windows, context)
    started = clock.monotonic()
    model.residuals(ids, planned.layers)
    return (clock.monotonic() - started) / ids.numel() * (planned.rows - planned.rows_done)
