"""What killed processes left: found, counted, and removed by the next run."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.quantities import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ghosttrack_cli.workspace import Workspace


def find_leftovers(folder: Path, name: str = "*") -> list[Path]:
    """Among the children of `folder` called `name`: unfinished ones, and replaced or deleted ones.

    What was replaced is one only where the new one stands: until then it is the valid one.
    """
    with suppress(OSError):
        replaced = [
            path
            for path in folder.glob(f"{name}{files.PREVIOUS_SUFFIX}")
            if path.with_name(path.name.removesuffix(files.PREVIOUS_SUFFIX)).exists()
        ]
        unfinished = folder.glob(f"{name}{files.TEMPORARY_SUFFIX}")
        deleted = folder.glob(f".{name}{files.DELETED_SUFFIX}")
        return sorted({*replaced, *unfinished, *deleted})
    return []


def clear_leftovers(folder: Path, name: str, notice: Callable[[str], None]) -> None:
    """Delete them and say so; for whoever holds the lock on `name`."""
    for path in find_leftovers(folder, name):
        clear(path, notice)


def clear(path: Path, notice: Callable[[str], None]) -> None:
    """Delete one of them and say so."""
    size = tree_bytes(path)
    files.remove(path)
    notice(f"removed what a stopped run left, {format_bytes(size)}: {path}")


def reclaimable_bytes(workspace: Workspace) -> int:
    """What the next runs would clean up in a workspace where nothing runs now."""
    return sum(
        tree_bytes(path) for folder in _folders(workspace) for path in find_leftovers(folder)
    )


def _folders(workspace: Workspace) -> Iterator[Path]:
    yield from (workspace.root, workspace.checkpoints, workspace.interpretations)
    with suppress(OSError):
        yield from workspace.interpretations.glob("layer_*/")


def tree_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links count for themselves."""
    found = [path]
    with suppress(OSError):
        found += [] if path.is_symlink() else path.rglob("*")
    total = 0
    for one in found:
        with suppress(OSError):
            status = one.lstat()
            total += status.st_size if one.is_symlink() or one.is_file() else 0
    return total
