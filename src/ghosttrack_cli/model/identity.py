"""What makes two runs the same model: hashes of weights and tokenizer, and the hub's commit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli import files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ghosttrack_cli.model.source import ModelSource


@dataclass(frozen=True)
class ModelIdentity:
    """A model and its tokenizer, exactly.

    `name` is the hub id or the last part of the folder; `weights_sha256` and `tokenizer_sha256`
    are of the files' bytes, so that a moved folder stays the same model.
    """

    name: str
    revision: str | None
    architecture: str
    weights_sha256: str
    tokenizer_sha256: str
    special_token_ids: tuple[int, ...]


def identify(
    source: ModelSource, architecture: str, special_token_ids: tuple[int, ...]
) -> ModelIdentity:
    """Hash the files of `source`; its weights must have been fetched."""
    return ModelIdentity(
        source.name,
        source.revision,
        architecture,
        hash_files(source.folder, source.weight_files()),
        hash_files(source.folder, _defining_files(source)),
        special_token_ids,
    )


def hash_files(folder: Path, names: Iterable[str]) -> str:
    """SHA-256 of one file, or over the lines "name sha256" of several."""
    hashes = {name: files.sha256_file(folder / name) for name in names}
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _defining_files(source: ModelSource) -> tuple[str, ...]:
    # tokenizer.json says all; the files beside it repeat it for older readers.
    names = source.tokenizer_files()
    return ("tokenizer.json",) if "tokenizer.json" in names else names
