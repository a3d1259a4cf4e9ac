"""Whether the text files are those of an earlier run: by what is in them, not by their dates."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import CorpusError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WHOLE_BYTES = 2**30
"""Text of up to this many bytes is hashed as a whole: at 1.7 GB/s (SHA-256 of one core) that is
less than a second, where loading a model takes longer. Of more, only samples are looked at before
a run, and what was read from the text is compared when the run is resumed (`local.LocalStream`):
the samples notice another text early, the comparison whatever the samples miss. Dates say nothing:
a copy has a new one, and a program may keep the old one."""
SAMPLE_BYTES = 2**16
SAMPLES = 2**12
"""Of all files together, beside the beginning and the end of each."""


@dataclass(frozen=True)
class Fingerprint:
    """The hash and the size of all files together; `sampled` if not every byte was hashed."""

    sha256: str
    bytes: int
    sampled: bool


def fingerprint(root: Path, names: Sequence[Path]) -> Fingerprint:
    """Of the files `names` under `root`; of a single file the name does not count.

    Raises:
        CorpusError: a file cannot be read.
    """
    sizes = [_size(root / name) for name in names]
    total = sum(sizes)
    sampled = total > WHOLE_BYTES
    step = total // SAMPLES if sampled else SAMPLE_BYTES
    digest = hashlib.sha256()
    for name, size in zip(names, sizes, strict=True):
        label = os.fsencode(name.as_posix()) if len(names) > 1 else b""
        digest.update(b"%s\0%d\0" % (label, size))
        digest.update(_digest(root / name, size, max(step, SAMPLE_BYTES)))
    return Fingerprint(digest.hexdigest(), total, sampled)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise CorpusError(f"cannot read the text: {path}: {error.strerror or error}") from error


def _digest(path: Path, size: int, step: int) -> bytes:
    """Of SAMPLE_BYTES at every `step`, and of the end: of everything if the step is no longer."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for place in range(0, size, step):
                file.seek(place)
                digest.update(file.read(SAMPLE_BYTES))
            if step > SAMPLE_BYTES:
                file.seek(max(0, size - SAMPLE_BYTES))
                digest.update(file.read(SAMPLE_BYTES))
    except OSError as error:
        raise CorpusError(f"cannot read the text: {path}: {error.strerror or error}") from error
    return digest.digest()
