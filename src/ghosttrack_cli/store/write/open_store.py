"""From what lies in a store's folder to the commit that a pass begins with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, StateError
from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.format.commit_parts import START, ResumePoint
from ghosttrack_cli.store.format.commit_record import (
    Commit,
    has_commit,
    is_unborn,
    new_commit,
    read_folder,
    write_commit,
)
from ghosttrack_cli.store.format.identity import StoreIdentity, check_identity
from ghosttrack_cli.store.replace import remove_store

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.site import AnySite


def open_commit(
    path: Path, identity: StoreIdentity, layers: tuple[AnySite, ...], asked_rows: int
) -> Commit:
    """The commit to go on from, written where it differs from the one on the disk.

    Raises:
        ConflictError: the store was made with another identity.
        StateError: the folder holds something else, or a store of another version.
        CorruptionError: the commit is damaged.
    """
    found = _read_or_none(path)
    if found is not None and not found.rows and found.identity != identity:
        remove_store(path)  # a run that ended before its first row: there is nothing to lose
        found = None
    if found is not None:
        check_identity(found.identity, identity, where=path)
    commit = (found or new_commit(identity, asked_rows)).with_layers(layers)
    asked = max(asked_rows, commit.rows)
    commit = replace(commit, asked_rows=asked, reached=commit.reached and asked == commit.rows)
    if found is not None and asked != found.asked_rows:
        commit = replace(commit, text=None)  # of other rows; known again at the end
    commit = replace(commit, filling=_filling(commit, pass_layers(commit, layers)))
    if commit != found:
        files.make_folder(path)
        write_commit(path, commit)
    return commit


def _read_or_none(path: Path) -> Commit | None:
    if has_commit(path):
        return read_folder(path)
    if files.is_there(path) and not is_unborn(path):
        raise StateError(
            f"not an activation store, and not empty: {path}", hint="use another --workspace"
        )
    return None


def pass_layers(commit: Commit, layers: tuple[AnySite, ...]) -> tuple[AnySite, ...]:
    """All layers while the store grows, else those of `layers` that lag behind."""
    if not commit.reached:
        return tuple(commit.layers)
    return tuple(layer for layer in layers if layer in commit.lagging)


def _filling(commit: Commit, layers: tuple[AnySite, ...]) -> ResumePoint | None:
    rows = min((commit.layers[layer] for layer in layers), default=commit.rows)
    if rows == commit.rows:
        return commit.filling if commit.lagging else None
    usable = commit.filling is not None and commit.filling.rows_before <= rows
    return commit.filling if usable else START


def mend_store(path: Path) -> None:
    """Finish what a kill after the last commit left: the same as opening the store to write.

    Raises:
        LockedError: another process writes to it.
    """
    with files.exclusive_lock(layout.lock_path(path), purpose="extract"):
        mend_metadata(path, read_folder(path))


def mend_metadata(path: Path, commit: Commit) -> None:
    """Write every `zarr.json` that is missing or does not say what the commit says."""
    rows = {name: array.rows for name, array in commit.arrays.items()}
    for node, data in layout.metadata(commit.identity, rows).items():
        file = layout.metadata_path(path, node)
        if _differs(file, data):
            files.make_folder(file.parent)
            files.write_bytes(file, data)
        files.remove(files.temporary_path(file))


def _differs(file: Path, data: bytes) -> bool:
    try:
        return files.read_bytes(file, limit=len(data)) != data
    except (FileNotFoundError, CorruptionError):
        return True
