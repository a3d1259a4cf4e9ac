"""What an extraction refuses, looked for before anything is loaded, written or deleted.

A plan and a run call the same function, so that a plan says what the run will say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli.differences import OTHER_SETTINGS, refuse
from ghosttrack_cli.errors import CorpusError, HubError
from ghosttrack_cli.extraction.plan import check_disk, existing_commit
from ghosttrack_cli.store.format.identity import check_identity
from ghosttrack_cli.text.corpus import OTHER_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghosttrack_cli.extraction.plan import ExtractionPlan
    from ghosttrack_cli.settings.schema import CorpusSettings
    from ghosttrack_cli.stage_request import ExtractionRequest
    from ghosttrack_cli.store.format.commit_record import Commit
    from ghosttrack_cli.text.documents import Corpus
    from ghosttrack_cli.workspace import Workspace


@dataclass(frozen=True)
class Checked:
    """An extraction that was planned and is not refused: what a run executes.

    `texts` is None where there is nothing to do and the hub that has them is away.
    """

    request: ExtractionRequest
    planned: ExtractionPlan
    texts: Corpus | None


def check(
    request: ExtractionRequest,
    planned: ExtractionPlan,
    notice: Callable[[str], None],
    *,
    compare: bool,
) -> Checked:
    """Refuse what cannot be done, and open the corpus.

    `compare` looks whether a store that is there is of this model, text and layout, which takes
    a pass over the model's files; a run that goes on with the store does so by itself.

    Raises:
        DiskError: too small for what is still to be written.
        CorpusError: no such text, or none in it that can be read.
        ConflictError: the store was made with another model, text or other settings.
        HubError: the hub is needed and away.
    """
    from ghosttrack_cli.text.corpus import is_hub

    check_disk(planned, request.workspace)
    commit = existing_commit(request.workspace, overwrite=request.overwrite)
    if commit is not None and planned.action == "nothing":
        return Checked(request, planned, _compared(request, planned, commit, notice))
    corpus = _open(request, commit)
    if commit is not None and compare:
        _check_identity(request, planned, commit, corpus)
    elif commit is None and (request.overwrite or not is_hub(request.corpus)):
        check_text(corpus)  # a hub is asked once, by the run
    return Checked(request, planned, corpus)


def _open(request: ExtractionRequest, commit: Commit | None) -> Corpus:
    from ghosttrack_cli.text.corpus import open_corpus

    recorded = commit.identity.corpus if commit else None
    return open_corpus(request.corpus, request.cache_dir, recorded=recorded)


def _compared(
    request: ExtractionRequest,
    planned: ExtractionPlan,
    commit: Commit,
    notice: Callable[[str], None],
) -> Corpus | None:
    """Compare a store that has everything; without the hub as far as that goes."""
    try:
        corpus = _open(request, commit)
        _check_identity(request, planned, commit, corpus)
    except HubError as error:
        _refuse_other_corpus(request.corpus, commit, request.workspace)
        notice(f"not compared with the hub: {error.what}")
        return None
    return corpus


def _refuse_other_corpus(corpus: CorpusSettings, commit: Commit, workspace: Workspace) -> None:
    """What is known to differ is refused without the hub, too."""
    from ghosttrack_cli.text.asked import known_differences

    fields = known_differences(corpus, commit.identity.corpus)
    refuse(
        f"the store was made from different text: {workspace.store}", fields, hint=OTHER_SETTINGS
    )


def check_text(corpus: Corpus) -> None:
    """Refuse what is known to fail: what an old store gives way to must be there.

    Raises:
        CorpusError: a file that cannot be read, no text, or none that is long enough.
    """
    if corpus.check() is None and next(iter(corpus.documents()), None) is None:
        raise CorpusError(
            f"no text to read: {corpus.name} has no text of {corpus.min_characters} characters",
            hint=OTHER_TEXT,
        )


def _check_identity(
    request: ExtractionRequest, planned: ExtractionPlan, commit: Commit, corpus: Corpus
) -> None:
    """Compare a store with the one that would be made, without loading the model."""
    from ghosttrack_cli.extraction.task import store_identity
    from ghosttrack_cli.model.loading import identify_model

    identity = store_identity(
        identify_model(planned.found),
        corpus,
        context_length=planned.context_length,
        batch_size=request.settings.batch_size or commit.identity.batch_size,
        d_model=planned.model.d_model,
        dtype=planned.dtype,
        model_dtype=planned.model_dtype,
        settings=request.settings,
    )
    check_identity(commit.identity, identity, where=request.workspace.store)
