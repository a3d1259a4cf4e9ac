"""A reader with a fault that the fuzzing must find: tests/faults/test_atheris.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.readers import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.workspace import Workspace

PLANTED = b"GT!"


def planted(_: Workspace, folder: Path) -> Reader:
    path = folder / "planted"
    path.write_bytes(b"a file without a fault")
    return Reader(path, lambda: read_planted(path.read_bytes()))


def read_planted(data: bytes) -> int:
    """The number of bytes; the comparisons are nested, so that each one passed is a new line."""
    if len(data) > len(PLANTED) and data[0] == PLANTED[0]:  # noqa: SIM102
        if data[1] == PLANTED[1]:  # noqa: SIM102
            if data[2] == PLANTED[2]:
                raise IndexError("the planted fault")
    return len(data)
