"""What an extraction is going to do: tokens, bytes against bytes free, and what resumes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, DiskError, StateError, UsageError
from ghosttrack_cli.leftovers import tree_bytes
from ghosttrack_cli.machine.devices import dtype_name
from ghosttrack_cli.model.found import FoundModel, find_model
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
    from ghosttrack_cli.model.description import ModelDescription
    from ghosttrack_cli.settings.schema import ExtractionSettings, ModelSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.stage_request import ExtractionRequest
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
    found: FoundModel
    corpus: str
    layers: tuple[AnySite, ...]
    rows: int
    rows_done: int
    context_length: int
    batch_size: int | None
    dtype: str
    bytes_needed: int
    bytes_free: int
    replaces: Replaced | None = None
    """What `overwrite` deletes once the new store has its first rows."""

    @property
    def model(self) -> ModelDescription:
        """The model's measures."""
        return self.found.description

    @property
    def device(self) -> str:
        """Where the model will run."""
        return str(self.found.device)

    @property
    def model_dtype(self) -> str:
        """What the model will compute in."""
        return dtype_name(self.found.dtype)

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {
            "action": self.action,
            "model": asdict(self.model),
            "corpus": self.corpus,
            "layers": self.layers,
            "rows": self.rows,
            "rows_done": self.rows_done,
            "context_length": self.context_length,
            "batch_size": self.batch_size,
            "dtype": self.dtype,
            "model_dtype": self.model_dtype,
            "device": self.device,
            "bytes_needed": self.bytes_needed,
            "bytes_free": self.bytes_free,
            "replaces": None if self.replaces is None else asdict(self.replaces),
        }

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


def plan(request: ExtractionRequest) -> ExtractionPlan:
    """Plan an extraction from the model's configuration and the store's last commit.

    Raises:
        UsageError: a layer or a context that the model does not have.
        HubError, ModelError: the model's configuration cannot be had.
    """
    settings, workspace = request.settings, request.workspace
    commit = existing_commit(workspace, overwrite=request.overwrite)
    found = find_model(pinned(request.model, commit), request.cache_dir)
    points = parse_points(settings.hook)
    layers = parse_layers(settings.layers, found.description.n_layers, points)
    rows = max(settings.tokens, commit.rows if commit else 0)
    dtype = dtype_name(found.dtype) if settings.store_dtype == "auto" else settings.store_dtype
    row_bytes = found.description.d_model * ITEM_SIZE[dtype]
    return ExtractionPlan(
        action=_action(commit, layers, rows),
        found=found,
        corpus=request.corpus.source,
        layers=layers,
        rows=rows,
        rows_done=rows_done(commit, layers),
        context_length=context_length(settings, found.description.max_context),
        batch_size=commit.identity.batch_size if commit else settings.batch_size,
        dtype=dtype,
        bytes_needed=_bytes_needed(commit, layers, rows, row_bytes),
        bytes_free=files.free_bytes(workspace.root),
        replaces=replaced_store(workspace) if request.overwrite else None,
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
