"""The import of one SAE: read, compared with the model, tried on rows, written."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import StateError
from ghosttrack_cli.foreign.source import read_source
from ghosttrack_cli.importing import parts
from ghosttrack_cli.importing.check import (
    check_fit,
    check_width,
    chosen_site,
    measure,
    mismatches,
)
from ghosttrack_cli.importing.rows import rows_of_store, rows_of_text, store_with
from ghosttrack_cli.sae.origin import KEY, Imported
from ghosttrack_cli.settings.remembered import lasting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ghosttrack_cli.foreign.found import ForeignSAE
    from ghosttrack_cli.importing.check import Fit
    from ghosttrack_cli.importing.rows import CheckedRows
    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.settings.schema import CorpusSettings, ModelSettings
    from ghosttrack_cli.site import Site
    from ghosttrack_cli.workspace import Workspace

UNCHECKED = (
    "not checked on text: the store has no rows of it and no model is named;"
    " --model MODEL checks it"
)


@dataclass(frozen=True)
class ImportTask:
    """What is imported, and what it can be checked with."""

    source: str
    site: Site | None
    model: ModelSettings | None
    """None: no model is at hand."""
    corpus: CorpusSettings
    """The text for the check where there is no store."""
    workspace: Workspace
    cache_dir: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Candidate:
    """An SAE that may be written: read, compared and tried."""

    task: ImportTask
    found: ForeignSAE
    site: Site
    fit: Fit | None
    model: str | None
    """The model of the rows that it was tried on."""
    notes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where it is written."""
        return self.task.workspace.checkpoints / f"sae_layer_{self.site}_best"

    @property
    def replaces(self) -> bool:
        """Whether an SAE of the site is there."""
        return bool(list(_standing(self.task.workspace, self.site)))

    @property
    def bytes(self) -> int:
        """Of its weights."""
        return sum(tensor.nbytes for tensor in self.found.sae.weights().values())

    @property
    def imported(self) -> Imported:
        """What is kept of where it comes from."""
        fit, model = self.fit, self.model or self.found.model_name
        figures = (fit.tokens, fit.fvu, fit.l0) if fit else (None, None, None)
        return Imported(self.task.source, self.found.family, model, *figures)


def prepare(task: ImportTask, monitor: Monitor) -> Candidate:
    """Read the SAE, and refuse what does not belong here; nothing is written.

    Raises:
        StateError: the site has an SAE, and `overwrite` is off.
        ConflictError: another hook, layer or width than asked.
        ModelError: an SAE of an unknown kind, or one that explains nothing here.
        GhostTrackError: files, model or text that cannot be read.
    """
    monitor.begin(parts.READING)
    found = read_source(task.source, task.site, task.cache_dir)
    site = chosen_site(found, task.site)
    _refuse_standing(task, site)
    rows = _rows(task, found, site, monitor)
    if rows is None:
        return Candidate(task, found, site, None, None, (UNCHECKED,))
    fit = measure(found.sae, rows.x)
    check_fit(fit, site)
    model = lasting(task.model.name) if task.model else rows.model
    return Candidate(task, found, site, fit, model, tuple(mismatches(found, rows)))


def _rows(task: ImportTask, found: ForeignSAE, site: Site, monitor: Monitor) -> CheckedRows | None:
    store = store_with(task.workspace, site)
    if store is not None:
        check_width(found, store.d_model, store.identity.model)
        monitor.begin(parts.ROWS)
        return rows_of_store(store, site)
    if task.model is None:
        return None
    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.text.corpus import open_corpus

    monitor.begin(parts.MODEL)
    model = ResidualModel.load(task.model, cache_dir=task.cache_dir, notice=monitor.notice)
    check_width(found, model.d_model, model.identity.name)
    monitor.begin(parts.ROWS)
    corpus = open_corpus(task.corpus, task.cache_dir, flag="--texts")
    return rows_of_text(model, corpus, site, monitor, found.context_size)


def write(candidate: Candidate, monitor: Monitor) -> None:
    """Put the SAE into the workspace; with `overwrite` what was trained there goes after it.

    Raises:
        StateError: meanwhile the site has an SAE.
        LockedError: somebody trains or reads it.
        DiskError: it cannot be written; what was there stands.
    """
    monitor.begin(parts.WRITING)
    task, site = candidate.task, candidate.site
    workspace, purpose = task.workspace, f"ghosttrack import of layer {site}"
    files.make_folder(workspace.checkpoints)
    with ExitStack() as stack:
        for lock in (workspace.lock(f"train_layer_{site}"), workspace.readers_lock(site)):
            stack.enter_context(files.exclusive_lock(lock, purpose=purpose))
        _refuse_standing(task, site)
        sae = candidate.found.sae
        sae.metadata = _metadata(candidate)
        files.remove(workspace.replacement(site))  # it would count before what is written now
        sae.save(candidate.folder)
        for path in _standing(workspace, site):
            if path != candidate.folder:
                files.remove(path)


def _metadata(candidate: Candidate) -> dict[str, Any]:
    """What `cfg.json` says of it; of its own only what is known by name."""
    own = candidate.found.sae.metadata.get("model")
    return {
        **candidate.found.facts,
        "hook_name": candidate.site.hook_name,
        **({"model": own} if isinstance(own, dict) else {}),
        KEY: candidate.imported.to_json(),
    }


def _refuse_standing(task: ImportTask, site: Site) -> None:
    if not task.overwrite and list(_standing(task.workspace, site)):
        raise StateError(
            f"layer {site} has an SAE already: {task.workspace.checkpoints}",
            hint="--overwrite replaces it; or use another --workspace",
        )


def _standing(workspace: Workspace, site: Site) -> Iterator[Path]:
    """Everything that an SAE of `site`, and its training, left."""
    yield from sorted(workspace.checkpoints.glob(f"sae_layer_{site}_*"))
    if workspace.tensorboard(site).exists():
        yield workspace.tensorboard(site)
