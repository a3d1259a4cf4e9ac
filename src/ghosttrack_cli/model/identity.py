"""What makes two runs the same model: hashes of weights and tokenizer, and the hub's commit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.model.deciding import deciding_config
from ghosttrack_cli.model.tokenizer import deciding_settings, special_token_ids
from ghosttrack_cli.provenance import ModelRecord

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from transformers import PreTrainedConfig, PreTrainedTokenizerFast

    from ghosttrack_cli.model.model_files import ModelSource


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
    config: dict[str, Any] = field(default_factory=dict)
    """what of the configuration and of the tokenizer's settings decides the rows"""

    @property
    def record(self) -> ModelRecord:
        """The model as artefacts record it."""
        return ModelRecord(self.name, self.weights_sha256, self.config)


def identify(
    source: ModelSource, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast
) -> ModelIdentity:
    """Hash the files of `source`; its weights must have been fetched."""
    return ModelIdentity(
        source.name,
        source.revision,
        str(config.model_type),
        hash_files(source.folder, source.weight_files()),
        hash_files(source.folder, _defining_files(source)),
        special_token_ids(tokenizer),
        deciding_config(config) | {"tokenizer": deciding_settings(tokenizer)},
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
