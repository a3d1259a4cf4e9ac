"""What lies in a folder, to be compared before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

Tree = dict[str, bytes]
"""Relative name -> bytes."""


def tree(folder: Path, *, without: Collection[str] = ()) -> Tree:
    """Every file under `folder`, but for those whose suffix is in `without`."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in without
    }
