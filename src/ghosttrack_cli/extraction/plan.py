"""What an extraction is going to do: tokens, bytes against bytes free, and what resumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, DiskError, StateError, UsageError
from ghosttrack_cli.leftovers import tree_bytes
from ghosttrack_cli.machine.devices import dtype_name, resolve_device, resolve_dtype
from ghosttrack_cli.model.description import ModelDescription, describe_model
from ghosttrack_cli.quantities import format_bytes
from ghosttrack_cli.settings.catalogue import DEFAULT_CONTEXT
from ghosttrack_cli.site import parse_layers, parse_points
from ghosttrack_cli.store.format.commit_record import (
    Commit,
    has_store,
    read_commit,
    read_folder,
    standing,
)
from ghosttrack_cli.store.format.identity import ITEM_SIZE, StoreIdentity
from ghosttrack_cli.store.format.layout import ROW_ARRAYS, ROW_ITEM_SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.settings.schema import CorpusSettings, ExtractionSettings, ModelSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import Workspace

ROW_BYTES = sum(ROW_ITEM_SIZE[dtype] for dtype in ROW_ARRAYS.values())
Action = Literal["start", "continue", "add layers", "nothing"]


@dataclass(frozen=True)
class ExtractionPlan:
    """One extraction, before anything is loaded.

    `rows` is what every layer will have, `rows_done` what those asked for have already;
    `bytes_needed` is what is still to be written, `bytes_free` what the disk has now.
    `batch_size` is None where it will be found by trying.
    """

    action: Action
    model: ModelDescription
    corpus: str
    layers: tuple[AnySite, ...]
    rows: int
    rows_done: int
    context_length: int
    batch_size: int | None
    dtype: str
    model_dtype: str
    device: str
    bytes_needed: int
    bytes_free: int
    replaces: Replaced | None = None
    """What `overwrite` deletes once the new store has its first rows."""

    @property
    def bytes_beside(self) -> int:
        """What has to fit beside the earlier store, which is deleted after the first commit."""
        from ghosttrack_cli.store.write.committer import most_uncommitted_bytes

        chunk_row = StoreIdentity.chunk_rows * self.model.d_model * ITEM_SIZE[self.dtype]
        return min(self.bytes_needed, most_uncommitted_bytes(chunk_row * len(self.layers)))


@dataclass(frozen=True)
class Replaced:
    """A store that is going to be deleted; without rows and layers where it cannot be read."""

    rows: int
    layers: tuple[AnySite, ...]
    bytes: int


def plan(
    model: ModelSettings,
    corpus: CorpusSettings,
    extraction: ExtractionSettings,
    workspace: Workspace,
    *,
    cache_dir: Path | None = None,
    overwrite: bool = False,
) -> ExtractionPlan:
    """Plan an extraction from the model's configuration and the store's last commit.

    Raises:
        UsageError: a layer or a context that the model does not have.
        HubError, ModelError: the model's configuration cannot be had.
    """
    device = resolve_device(model.device)  # before anything is asked of the hub
    commit = existing_commit(workspace, overwrite=overwrite)
    description = describe_model(pinned(model, commit), cache_dir)
    points = parse_points(extraction.hook)
    layers = parse_layers(extraction.layers, description.n_layers, points)
    rows = max(extraction.tokens, commit.rows if commit else 0)
    model_dtype, dtype = dtypes(model, extraction)
    return ExtractionPlan(
        action=_action(commit, layers, rows),
        model=description,
        corpus=corpus.source,
        layers=layers,
        rows=rows,
        rows_done=rows_done(commit, layers),
        context_length=context_length(extraction, description.max_context),
        batch_size=commit.identity.batch_size if commit else extraction.batch_size,
        dtype=dtype,
        model_dtype=model_dtype,
        device=str(device),
        bytes_needed=_bytes_needed(commit, layers, rows, description.d_model * ITEM_SIZE[dtype]),
        bytes_free=files.free_bytes(workspace.root),
        replaces=replaced_store(workspace) if overwrite else None,
    )


def existing_commit(workspace: Workspace, *, overwrite: bool = False) -> Commit | None:
    """What the store holds; None where it is new or will be, or has no rows yet."""
    fresh = overwrite or not has_store(workspace.store)
    commit = None if fresh else read_commit(workspace.store)
    return commit if commit is not None and commit.rows else None


def pinned(model: ModelSettings, commit: Commit | None) -> ModelSettings:
    """The model at the revision that the store was made with, unless one is asked for.

    A branch on the hub that has moved meanwhile would otherwise end every resumed run.
    """
    if commit is None or model.revision or commit.identity.model != model.name:
        return model
    return model.model_copy(update={"revision": commit.identity.model_revision})


def dtypes(model: ModelSettings, extraction: ExtractionSettings) -> tuple[str, str]:
    """What the model computes in, and what the store keeps."""
    computed = resolve_dtype(model.dtype, resolve_device(model.device))
    name = dtype_name(computed)
    return name, name if extraction.store_dtype == "auto" else extraction.store_dtype


def context_length(extraction: ExtractionSettings, max_context: int) -> int:
    """Tokens a window: as asked, else the model's maximum, up to DEFAULT_CONTEXT."""
    asked = extraction.context_length
    if asked is None:
        return min(DEFAULT_CONTEXT, max_context)
    if asked > max_context:
        raise UsageError(
            f"context_length out of range: {asked}, must be 2 to {max_context}",
            hint=f"--context-length {max_context}, or leave it out",
        )
    return asked


def rows_done(commit: Commit | None, layers: tuple[AnySite, ...]) -> int:
    """Rows that all of `layers` have."""
    have = commit.layers if commit else {}
    return min(have.get(layer, 0) for layer in layers)


def _action(commit: Commit | None, layers: tuple[AnySite, ...], rows: int) -> Action:
    if commit is None:
        return "start"
    if rows_done(commit, layers) == rows:
        return "nothing"
    return "add layers" if commit.rows == rows else "continue"


def _bytes_needed(
    commit: Commit | None, layers: tuple[AnySite, ...], rows: int, row_bytes: int
) -> int:
    chunk_rows = commit.chunk_rows if commit else StoreIdentity.chunk_rows
    stored = commit.rows if commit else 0
    have = commit.layers if commit else {}
    growing = {*layers, *(have if rows > stored else ())}
    grown = [(have.get(layer, 0), row_bytes) for layer in growing]
    if rows > stored:
        grown.append((stored, ROW_BYTES))
    return sum(size * _new_chunk_rows(done, rows, chunk_rows) for done, size in grown)


def _new_chunk_rows(done: int, rows: int, chunk_rows: int) -> int:
    """Rows in the chunks to write; each has its full size on disk, and the last is replaced."""
    chunks = -(-rows // chunk_rows) - done // chunk_rows
    return max(0, chunks) * chunk_rows if rows > done else 0


def replaced_store(workspace: Workspace) -> Replaced | None:
    """What `overwrite` would delete; None where there is nothing."""
    folder = standing(workspace.store)
    if not folder.exists():
        return None
    try:
        commit = read_folder(folder)
    except (StateError, CorruptionError):
        return Replaced(0, (), tree_bytes(folder))
    return Replaced(commit.rows, tuple(commit.layers), commit.bytes)


def check_disk(planned: ExtractionPlan, workspace: Workspace) -> None:
    """Refuse what cannot fit, before the model's weights are loaded.

    Raises:
        DiskError: with the bytes needed and the bytes free, or those that a file may have.
    """
    deleted = planned.replaces.bytes if planned.replaces else 0
    if planned.bytes_needed > planned.bytes_free + deleted:
        later = f" and {format_bytes(deleted)} is in the store to replace" if deleted else ""
        raise DiskError(
            f"not enough disk space: {workspace.root}: {planned.rows:,} tokens of "
            f"{len(planned.layers)} layers need {format_bytes(planned.bytes_needed)} more, "
            f"{format_bytes(planned.bytes_free)} is free{later}",
            path=workspace.root,
            hint="use fewer --tokens or --layers, --store-dtype bfloat16, or another --workspace",
        )
    if planned.replaces and planned.bytes_beside > planned.bytes_free:
        raise DiskError(
            f"not enough disk space: {workspace.root}: {format_bytes(planned.bytes_beside)}"
            f" must fit beside the earlier store until the new one has rows,"
            f" {format_bytes(planned.bytes_free)} is free",
            path=workspace.root,
            hint=f"free some space, or delete the earlier store yourself: {workspace.store}",
        )
    chunk = StoreIdentity.chunk_rows * planned.model.d_model * ITEM_SIZE[planned.dtype]
    largest = files.largest_file()
    if planned.bytes_needed and largest is not None and chunk > largest:
        raise DiskError(
            f"files of {format_bytes(chunk)} are needed, this process may write"
            f" {format_bytes(largest)}: {workspace.root}",
            path=workspace.root,
            hint="ulimit -f unlimited lifts the limit of this shell",
        )
