"""The stage: text through the model into the store, from wherever an earlier run came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import ConflictError, HubError
from ghosttrack_cli.extraction.parts import CHECKING, COMPARING, CORPUS, MODEL
from ghosttrack_cli.extraction.plan import (
    ExtractionPlan,
    check_disk,
    existing_commit,
    pinned,
    plan,
)
from ghosttrack_cli.monitor import SILENT, Monitor
from ghosttrack_cli.store.identity import check_identity

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.extraction.task import ExtractionResult
    from ghosttrack_cli.settings import CorpusSettings, ExtractionSettings, ModelSettings
    from ghosttrack_cli.store.commit import Commit
    from ghosttrack_cli.store.identity import StoreIdentity
    from ghosttrack_cli.workspace import Workspace


def extract(
    model: ModelSettings,
    corpus: CorpusSettings,
    extraction: ExtractionSettings,
    workspace: Workspace,
    monitor: Monitor = SILENT,
    *,
    cache_dir: Path | None = None,
    overwrite: bool = False,
) -> ExtractionResult:
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
    planned = plan(model, corpus, extraction, workspace, cache_dir=cache_dir, overwrite=overwrite)
    check_disk(planned, workspace)
    monitor.begin(COMPARING if planned.action == "nothing" else MODEL)

    # Seconds of imports that a hub that is away or a full disk need not wait for.
    from ghosttrack_cli.extraction.run import run
    from ghosttrack_cli.extraction.task import ExtractionResult, Task
    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.text.corpus import open_corpus

    commit = existing_commit(workspace, overwrite=overwrite)
    model = pinned(model, commit)
    recorded = commit.identity.corpus if commit else None
    if commit is not None and planned.action == "nothing":
        asked = _Asked(model, corpus, extraction, cache_dir)
        _check_finished(asked, planned, commit, workspace, monitor)
        return ExtractionResult.of(workspace.store, commit, rows_before=commit.rows)
    loaded = ResidualModel.load(model, cache_dir=cache_dir, notice=monitor.notice)
    monitor.begin(CORPUS)
    texts = open_corpus(corpus, cache_dir, recorded=recorded)
    for left_out in texts.notices():
        monitor.notice(left_out)
    task = Task(loaded, texts, planned.layers, extraction, workspace.store, monitor)
    return run(task, commit, overwrite=overwrite)


@dataclass(frozen=True)
class _Asked:
    """What a run asks for, and where the hub's files are kept."""

    model: ModelSettings
    corpus: CorpusSettings
    extraction: ExtractionSettings
    cache_dir: Path | None


def _check_finished(
    asked: _Asked,
    planned: ExtractionPlan,
    commit: Commit,
    workspace: Workspace,
    monitor: Monitor,
) -> None:
    """Say that nothing is to be done, unless the store is of something else."""
    from ghosttrack_cli.store.opening import mend_store

    mend_store(workspace.store)
    try:
        identity = _identity(asked, planned, commit)
    except HubError as error:
        _refuse_other_corpus(asked.corpus, commit, workspace)
        monitor.notice(f"not compared with the hub: {error.what}")
    else:
        check_identity(commit.identity, identity, where=workspace.store)
    monitor.accepted()
    monitor.notice(f"nothing to do: {commit.rows:,} tokens are stored")


def _refuse_other_corpus(corpus: CorpusSettings, commit: Commit, workspace: Workspace) -> None:
    """What is known to differ is refused without the hub, too."""
    from ghosttrack_cli.text.asked import known_differences

    fields = known_differences(corpus, commit.identity.corpus)
    if fields:
        raise ConflictError(
            f"the store was made from different text: {workspace.store}",
            fields=fields,
            hint="use the text on disk, another --workspace, or --overwrite to start over",
        )


def _identity(asked: _Asked, planned: ExtractionPlan, commit: Commit) -> StoreIdentity:
    """Of the store that would be made, without loading the model."""
    from ghosttrack_cli.extraction.task import store_identity
    from ghosttrack_cli.model.loading import identify_model
    from ghosttrack_cli.text.corpus import open_corpus

    corpus = open_corpus(asked.corpus, asked.cache_dir, recorded=commit.identity.corpus)
    return store_identity(
        identify_model(asked.model, asked.cache_dir),
        corpus,
        context_length=planned.context_length,
        batch_size=asked.extraction.batch_size or commit.identity.batch_size,
        d_model=planned.model.d_model,
        dtype=planned.dtype,
        model_dtype=planned.model_dtype,
        settings=asked.extraction,
    )
