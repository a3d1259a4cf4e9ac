"""The store as an extraction will leave it: enough for a plan of what comes after it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from ghosttrack_cli.store.format.commit_record import new_commit, standing
from ghosttrack_cli.store.format.identity import StoreIdentity
from ghosttrack_cli.store.read.reader import ActivationStore

if TYPE_CHECKING:
    from ghosttrack_cli.extraction.plan import ExtractionPlan
    from ghosttrack_cli.store.format.commit_record import Commit
    from ghosttrack_cli.store.format.identity import StoreDtype
    from ghosttrack_cli.workspace import Workspace

UNKNOWN = "0" * 64


def expected_store(
    planned: ExtractionPlan, commit: Commit | None, workspace: Workspace
) -> ActivationStore:
    """A store with the planned rows of the planned layers; its chunks cannot be read.

    A text that has ended gives no more rows than it has, whatever is asked for.
    """
    ended = commit is not None and commit.corpus_ended
    rows = commit.rows if commit is not None and ended else planned.rows
    begun = commit or new_commit(_identity(planned), planned.rows)
    begun = begun.with_layers(planned.layers)
    arrays = {
        name: array if array.rows == rows else replace(array, rows=rows)
        for name, array in begun.arrays.items()
    }
    done = replace(begun, asked_rows=rows, reached=True, arrays=arrays)
    return ActivationStore(workspace.store, done, standing(workspace.store))


def _identity(planned: ExtractionPlan) -> StoreIdentity:
    return StoreIdentity(
        model=planned.model.name,
        model_revision=planned.model.revision,
        weights_sha256=UNKNOWN,
        tokenizer_sha256=UNKNOWN,
        special_token_ids=(),
        corpus={"kind": planned.corpus},
        context_length=planned.context_length,
        batch_size=planned.batch_size or 1,
        d_model=planned.model.d_model,
        dtype=cast("StoreDtype", planned.dtype),
    )
