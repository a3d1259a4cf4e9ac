"""The state of a whole workspace, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import GhostTrackError
from ghosttrack_cli.leftovers import reclaimable_bytes, tree_bytes
from ghosttrack_cli.quantities import counted
from ghosttrack_cli.sae.origin import read_imported
from ghosttrack_cli.site import in_order
from ghosttrack_cli.status.checklist import Check, checklist
from ghosttrack_cli.status.layer_status import LayerStatus, read_interpretations, read_training
from ghosttrack_cli.status.page_status import read_page
from ghosttrack_cli.store.format.commit_record import has_store, is_unborn, read_commit, standing
from ghosttrack_cli.store.format.layout import layer_array
from ghosttrack_cli.store.replace import replaced_by_rows
from ghosttrack_cli.workspace import numbered_layers

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.site import AnySite, Site
    from ghosttrack_cli.store.format.commit_record import Commit
    from ghosttrack_cli.workspace import Workspace


@dataclass(frozen=True)
class StoreStatus:
    """What the store's commit says."""

    model: str
    corpus: str
    context_length: int
    d_model: int
    dtype: str
    rows: int
    asked_rows: int
    complete: bool
    corpus_ended: bool
    """Whether the text had fewer rows than were asked for, all of which are there."""
    bytes: int
    being_replaced: bool = False
    """Whether `extract --overwrite` was begun, whose store has no rows yet."""

    @property
    def unfinished(self) -> bool:
        """Whether there are rows still to come."""
        return not self.complete and not self.corpus_ended


@dataclass(frozen=True)
class Overview:
    """Everything that `status` shows."""

    store: StoreStatus | None
    layers: tuple[LayerStatus, ...]
    checks: tuple[Check, ...]
    problems: tuple[str, ...]
    browser: Path | None
    running: tuple[str, ...]
    """Processes that are at work here now, in their own words."""
    page_whole: bool = True
    """Whether the page was written to its end and no file of it is missing or cut."""
    reclaimable_bytes: int = 0
    """What stopped runs left and the next ones remove; not counted while anything runs."""

    @property
    def met(self) -> bool:
        """Whether all of the checklist that is required holds and nothing is damaged."""
        return not self.problems and all(check.met for check in self.checks if check.required)


def gather(workspace: Workspace, recon_loss: float | None = None) -> Overview:
    """Read every manifest of `workspace`; nothing else is opened, whatever its size.

    `recon_loss` is what the checklist asks for, if the settings do.
    """
    problems: list[str] = []
    running = tuple(files.lock_holders(workspace.root))
    commit = _read_commit(workspace, problems)
    layers = tuple(
        _layer_status(workspace, layer, commit, problems)
        for layer in _all_layers(workspace, commit)
    )
    page = read_page(workspace)
    problems += page.problems
    return Overview(
        store=_store_status(workspace, commit),
        layers=layers,
        checks=checklist(layers, recon_loss),
        problems=tuple(problems),
        browser=page.path,
        running=running,
        page_whole=page.whole,
        reclaimable_bytes=0 if running else _reclaimable_bytes(workspace),
    )


def _reclaimable_bytes(workspace: Workspace) -> int:
    return reclaimable_bytes(workspace) + sum(map(tree_bytes, replaced_by_rows(workspace.store)))


def _read_commit(workspace: Workspace, problems: list[str]) -> Commit | None:
    store = workspace.store
    if not has_store(store):
        if standing(store) == store and store.is_dir() and not _is_born_meanwhile(store):
            problems.append(f"a store without a commit: {store}")
        return None
    try:
        return read_commit(store)
    except GhostTrackError as error:
        problems.append(error.what)
        return None


def _is_born_meanwhile(store: Path) -> bool:
    """Whether an extraction begins, or was killed as it began: it has no commit yet."""
    try:
        return is_unborn(store) or has_store(store)
    except GhostTrackError:  # it went away
        return True


def _all_layers(workspace: Workspace, commit: Commit | None) -> list[Site]:
    """Every layer that has rows, a training, an imported SAE or a report."""
    found = set(commit.layers) if commit else set()
    found |= set(numbered_layers(workspace.checkpoints, "sae_layer_{}_progress.json"))
    found |= set(numbered_layers(workspace.interpretations, "layer_{}"))
    saes = numbered_layers(workspace.checkpoints, "sae_layer_{}_best")
    found |= {one for one in saes if read_imported(workspace.sae(one, "best"))}
    return list(in_order(found))


def _layer_status(
    workspace: Workspace, layer: AnySite, commit: Commit | None, problems: list[str]
) -> LayerStatus:
    rows = commit.layers.get(layer, 0) if commit else 0
    return LayerStatus(
        layer=layer,
        rows=rows,
        asked_rows=commit.asked_rows if commit and layer in commit.layers else 0,
        bytes=_array_bytes(commit, layer),
        training=read_training(workspace, layer, problems),
        interpretations=read_interpretations(workspace, layer, problems),
    )


def _array_bytes(commit: Commit | None, layer: AnySite) -> int:
    array = commit.arrays.get(layer_array(layer)) if commit else None
    return array.full_bytes + array.tail_bytes if array else 0


def _store_status(workspace: Workspace, commit: Commit | None) -> StoreStatus | None:
    if commit is None:
        return None
    return StoreStatus(
        model=commit.identity.model,
        corpus=_corpus_name(commit.identity.corpus),
        context_length=commit.identity.context_length,
        d_model=commit.d_model,
        dtype=commit.dtype,
        rows=commit.rows,
        asked_rows=commit.asked_rows,
        complete=commit.complete,
        corpus_ended=commit.corpus_ended,
        bytes=commit.bytes,
        being_replaced=standing(workspace.store) != workspace.store,
    )


def _corpus_name(corpus: dict[str, Any]) -> str:
    """The corpus in a few words, from whatever its identity holds."""
    name = corpus.get("name") or corpus.get("repository") or corpus.get("kind")
    known = [name, corpus.get("config"), corpus.get("split")]
    words = [value for value in known if isinstance(value, str)]
    if isinstance(corpus.get("files"), int):
        words.append(f"({counted(corpus['files'], 'file')})")
    return " ".join(words)
