"""The stage: text through the model into the store, from wherever an earlier run came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.extraction.checks import Checked, check
from ghosttrack_cli.extraction.parts import CHECKING, COMPARING, MODEL
from ghosttrack_cli.extraction.plan import existing_commit, plan
from ghosttrack_cli.monitor import SILENT, Monitor
from ghosttrack_cli.store.replace import settle_store

if TYPE_CHECKING:
    from ghosttrack_cli.extraction.task import ExtractionResult
    from ghosttrack_cli.stage_request import ExtractionRequest
    from ghosttrack_cli.store.format.commit_record import Commit
    from ghosttrack_cli.workspace import Workspace


def extract(request: ExtractionRequest, monitor: Monitor = SILENT) -> ExtractionResult:
    """Store the residual streams of the asked layers for as many tokens as asked.

    A store that is there is continued: more tokens, more layers, or nothing where all is done.

    Raises:
        Stopped: a signal came; everything is committed.
        UsageError: a layer, device or context that there is not.
        ConflictError: the store was made with a different model, text or other settings.
        DiskError: the disk is too small for the plan, or refused to write.
        ModelError, CorpusError, HubError: the model or the text cannot be had or read.
    """
    monitor.begin(CHECKING)
    planned = plan(request)
    if planned.action == "nothing":
        monitor.begin(COMPARING)
    return execute(check(request, planned, monitor.notice, compare=False), monitor)


def execute(checked: Checked, monitor: Monitor = SILENT) -> ExtractionResult:
    """Do what was planned and checked; raises as `extract`."""
    request, planned = checked.request, checked.planned
    workspace, overwrite = request.workspace, request.overwrite
    settle_store(workspace.store, monitor.notice)
    commit = existing_commit(workspace, overwrite=overwrite)
    if commit is not None and planned.action == "nothing":
        return _nothing(commit, workspace, monitor)
    texts = checked.texts
    assert texts is not None
    monitor.begin(MODEL)

    # Seconds of imports that a hub that is away or a full disk need not wait for.
    from ghosttrack_cli.extraction.run import run
    from ghosttrack_cli.extraction.task import Task
    from ghosttrack_cli.model.residual import ResidualModel

    loaded = ResidualModel.load_found(planned.found, notice=monitor.notice)
    for left_out in texts.notices():
        monitor.notice(left_out)
    task = Task(loaded, texts, planned.layers, request.settings, workspace.store, monitor)
    return run(task, commit, overwrite=overwrite)


def _nothing(commit: Commit, workspace: Workspace, monitor: Monitor) -> ExtractionResult:
    """Say that nothing is to be done."""
    from ghosttrack_cli.extraction.task import ExtractionResult
    from ghosttrack_cli.store.write.open_store import mend_store

    mend_store(workspace.store)
    monitor.accepted()
    monitor.notice(f"nothing to do: {commit.rows:,} tokens are stored")
    return ExtractionResult.of(workspace.store, commit, rows_before=commit.rows)
