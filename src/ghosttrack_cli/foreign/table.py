"""The families whose SAEs are read, each told by its files; a new one is a module and a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli.foreign.families import (
    dictionary_learning,
    gemma_scope,
    gemma_scope_2,
    qwen_scope,
    saelens,
    sparsify,
)
from ghosttrack_cli.sae.checksums import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ghosttrack_cli.foreign.found import ForeignSAE, Found


@dataclass(frozen=True)
class Family:
    """SAEs of one program or collection: the files that tell them, and how they are read."""

    name: str
    needs: tuple[str, ...]
    """The last one holds the weights."""
    read: Callable[[Found], ForeignSAE]
    may_have: tuple[str, ...] = ()
    """Files that are read where they are there; "../NAME" is one in the folder above."""


FAMILIES = (
    Family(saelens.NAME, (CONFIG, WEIGHTS), saelens.read),
    Family(gemma_scope.NAME, (gemma_scope.WEIGHTS,), gemma_scope.read),
    Family(
        gemma_scope_2.NAME, (gemma_scope_2.WEIGHTS,), gemma_scope_2.read, (gemma_scope_2.CONFIG,)
    ),
    Family(
        sparsify.NAME,
        (sparsify.CONFIG, sparsify.WEIGHTS),
        sparsify.read,
        (f"../{sparsify.RUN}",),
    ),
    Family(
        dictionary_learning.NAME,
        (dictionary_learning.CONFIG, dictionary_learning.WEIGHTS),
        dictionary_learning.read,
    ),
)
QWEN_SCOPE = Family(qwen_scope.NAME, (), qwen_scope.read)
"""Its files are all in one folder: one of them has to be named."""


def family_of(names: Iterable[str], file: str | None = None) -> Family | None:
    """The family that a folder with these files belongs to, or the one file named in it."""
    if file is not None and qwen_scope.WEIGHTS.fullmatch(file):
        return QWEN_SCOPE
    there = set(names)
    return next((one for one in FAMILIES if there.issuperset(one.needs)), None)
