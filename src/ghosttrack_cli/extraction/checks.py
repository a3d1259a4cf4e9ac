"""What an extraction refuses, looked for before anything is loaded, written or deleted.

A plan and a run call the same function, so that a plan says what the run will say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli.differences import OTHER_SETTINGS, refuse
from ghosttrack_cli.errors import CorpusError, HubError
from ghosttrack_cli.extraction.plan import check_disk, existing_commit, pinned
from ghosttrack_cli.store.format.identity import check_identity
from ghosttrack_cli.text.corpus import OTHER_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ghosttrack_cli.extraction.plan import ExtractionPlan
    from ghosttrack_cli.settings.schema import CorpusSettings, ExtractionSettings, ModelSettings
    from ghosttrack_cli.store.format.commit_record import Commit
    from ghosttrack_cli.store.format.identity import StoreIdentity
    from ghosttrack_cli.text.documents import Corpus
    from ghosttrack_cli.workspace import Workspace


@dataclass(frozen=True)
class Asked:
    """What a run asks for, and where the hub's files are kept."""

    model: ModelSettings
    corpus: CorpusSettings
    extraction: ExtractionSettings
    cache_dir: Path | None = None

    def pinned(self, commit: Commit | None) -> ModelSettings:
        """The model at the revision that the store was made with."""
        return pinned(self.model, commit)


@dataclass(frozen=True)
class Checked:
    """An extraction that was planned and is not refused: what a run executes.

    `texts` is None where there is nothing to do and the hub that has them is away.
    """

    asked: Asked
    planned: ExtractionPlan
    texts: Corpus | None
    overwrite: bool = False


def check(
    asked: Asked,
    planned: ExtractionPlan,
    workspace: Workspace,
    notice: Callable[[str], None],
    *,
    overwrite: bool,
    compare: bool,
) -> Corpus | None:
    """Refuse what cannot be done; the open corpus, None where the hub that has it is away.

    `compare` looks whether a store that is there is of this model, text and layout, which takes
    a pass over the model's files; a run that goes on with the store does so by itself.

    Raises:
        DiskError: too small for what is still to be written.
        CorpusError: no such text, or none in it that can be read.
        ConflictError: the store was made with another model, text or other settings.
        HubError: the hub is needed and away.
    """
    from ghosttrack_cli.text.corpus import is_hub

    check_disk(planned, workspace)
    commit = existing_commit(workspace, overwrite=overwrite)
    if planned.action == "nothing":
        return _compared(asked, planned, commit, workspace, notice)
    corpus = _open(asked, commit)
    if commit is None and (
        overwrite or not is_hub(asked.corpus)
    ):  # a hub is asked once, by the run
        check_text(corpus)
    elif commit is not None and compare:
        check_identity(
            commit.identity, _identity(asked, planned, commit, corpus), where=workspace.store
        )
    return corpus


def _open(asked: Asked, commit: Commit | None) -> Corpus:
    from ghosttrack_cli.text.corpus import open_corpus

    recorded = commit.identity.corpus if commit else None
    return open_corpus(asked.corpus, asked.cache_dir, recorded=recorded)


def _compared(
    asked: Asked,
    planned: ExtractionPlan,
    commit: Commit | None,
    workspace: Workspace,
    notice: Callable[[str], None],
) -> Corpus | None:
    """Compare a store that has everything; without the hub as far as that goes."""
    assert commit is not None
    try:
        corpus = _open(asked, commit)
        identity = _identity(asked, planned, commit, corpus)
    except HubError as error:
        _refuse_other_corpus(asked.corpus, commit, workspace)
        notice(f"not compared with the hub: {error.what}")
        return None
    check_identity(commit.identity, identity, where=workspace.store)
    return corpus


def _refuse_other_corpus(corpus: CorpusSettings, commit: Commit, workspace: Workspace) -> None:
    """What is known to differ is refused without the hub, too."""
    from ghosttrack_cli.text.asked import known_differences

    fields = known_differences(corpus, commit.identity.corpus)
    refuse(f"the store was made from different text: {workspace.store}", fields, OTHER_SETTINGS)


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


def _identity(
    asked: Asked, planned: ExtractionPlan, commit: Commit, corpus: Corpus
) -> StoreIdentity:
    """Of the store that would be made, without loading the model."""
    from ghosttrack_cli.extraction.task import store_identity
    from ghosttrack_cli.model.loading import identify_model

    return store_identity(
        identify_model(asked.pinned(commit), asked.cache_dir),
        corpus,
        context_length=planned.context_length,
        batch_size=asked.extraction.batch_size or commit.identity.batch_size,
        d_model=planned.model.d_model,
        dtype=planned.dtype,
        model_dtype=planned.model_dtype,
        settings=asked.extraction,
    )
