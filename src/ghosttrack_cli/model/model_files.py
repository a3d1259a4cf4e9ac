"""A model's files by name, and a model that was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack")
OTHER_SOURCES = "--model DIR takes a local folder, `ghosttrack demo` needs no model"
MAX_SMALL_FILE = 256 * 2**20
ADAPTER = "adapter_config.json"
MERGE = (
    "merge it into its model with PEFT, model.merge_and_unload().save_pretrained(DIR), and use "
    "--model DIR"
)


@dataclass(frozen=True)
class ModelSource:
    """A folder that holds the model's files, or is about to.

    `names` are the files that the model has, fetched or not. `revision` is the commit on the hub,
    None for a local folder.
    """

    name: str
    folder: Path
    revision: str | None
    names: frozenset[str]

    @property
    def config(self) -> Path:
        """The model's configuration."""
        return self.folder / CONFIG

    def tokenizer_files(self) -> tuple[str, ...]:
        """Those files that say how text becomes tokens."""
        return tuple(name for name in TOKENIZER_FILES if name in self.names)

    def weight_files(self) -> tuple[str, ...]:
        """The safetensors files that hold the weights, in order.

        Raises:
            ModelError: there are none, or only weights in a format that can run code.
        """
        if WEIGHTS_INDEX in self.names:
            return self._shards()
        if WEIGHTS in self.names:
            return (WEIGHTS,)
        found = [name for name in PICKLES if name in self.names]
        if found:
            raise ModelError(
                f"no safetensors weights: {self.name} has only {', '.join(found)}, which is not "
                "opened because a pickle can run code",
                hint="save the model again with save_pretrained(), which writes model.safetensors",
            )
        raise ModelError(f"no weights: {self.name} has no {WEIGHTS}", hint=OTHER_SOURCES)

    def _shards(self) -> tuple[str, ...]:
        index = files.read_json(self.folder / WEIGHTS_INDEX, limit=MAX_SMALL_FILE, foreign=True)
        weight_map = index.get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ModelError(f"no weight_map: {self.folder / WEIGHTS_INDEX}")
        shards = tuple(sorted({str(name) for name in weight_map.values()}))
        missing = [name for name in shards if name not in self.names]
        if missing:
            raise ModelError(f"weights missing: {self.name} lacks {', '.join(missing[:5])}")
        return shards

    def missing(self) -> tuple[str, ...]:
        """Weight files that are still to be fetched."""
        return tuple(name for name in self.weight_files() if not (self.folder / name).exists())


def without_config(where: str, names: frozenset[str]) -> ModelError:
    """The error of a folder or repository that holds no model, or an adapter for one."""
    if ADAPTER in names:
        return ModelError(f"only an adapter: {where} has no {CONFIG}", hint=MERGE)
    return ModelError(f"no model: {where} has no {CONFIG}", hint=OTHER_SOURCES)
