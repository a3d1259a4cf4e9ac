"""Where a model's files are: a local folder, the hub, or the hub's cache when the hub is away."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import ModelError, UsageError

if TYPE_CHECKING:
    from ghosttrack_cli.settings import ModelSettings

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
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[\w.-]{1,96})?", re.ASCII)
ADAPTER = "adapter_config.json"
MERGE = (
    "merge it into its model with PEFT, model.merge_and_unload().save_pretrained(DIR), and use "
    "--model DIR"
)
OTHER_SOURCES = "--model DIR takes a local folder, `ghosttrack demo` needs no model"
MAX_SMALL_FILE = 256 * 2**20


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


def find_source(settings: ModelSettings, cache_dir: Path | None = None) -> ModelSource:
    """Find the model and fetch its small files; weights stay where they are.

    Raises:
        UsageError: no such folder, or a name that cannot be a hub id.
        HubError: not in the cache and the hub cannot be reached or refuses.
        ModelError: a folder that holds no model.
    """
    folder = Path(settings.name)
    if folder.is_dir():
        return _local_source(folder)
    if folder.exists():
        raise UsageError(f"model: not a folder: {settings.name}", hint=OTHER_SOURCES)
    if not HUB_ID.fullmatch(settings.name) or ".." in settings.name:
        raise UsageError(
            f"model: no such folder, and not a hub id: {settings.name[:200]!r}", hint=OTHER_SOURCES
        )
    from ghosttrack_cli.model import hub

    return hub.find(settings.name, settings.revision, cache_dir)


def fetch_weights(source: ModelSource, cache_dir: Path | None = None) -> None:
    """Fetch the weights that `source` names and that are not in its folder yet."""
    if missing := source.missing():
        from ghosttrack_cli.model import hub

        hub.fetch(source, missing, cache_dir)


def weight_bytes(source: ModelSource) -> tuple[int, int]:
    """Bytes of all weight files, and of those that are still to be fetched."""
    missing = source.missing()
    absent = 0
    if missing:
        from ghosttrack_cli.model import hub

        absent = sum(hub.size(source, name) for name in missing)
    present = [source.folder / name for name in source.weight_files() if name not in missing]
    return absent + sum(path.stat().st_size for path in present), absent


def without_config(where: str, names: frozenset[str]) -> ModelError:
    """The error of a folder or repository that holds no model, or an adapter for one."""
    if ADAPTER in names:
        return ModelError(f"only an adapter: {where} has no {CONFIG}", hint=MERGE)
    return ModelError(f"no model: {where} has no {CONFIG}", hint=OTHER_SOURCES)


def _local_source(folder: Path) -> ModelSource:
    folder = folder.resolve()
    with files.disk_errors(folder, "list"):
        names = frozenset(path.name for path in folder.iterdir() if path.is_file())
    if CONFIG not in names:
        raise without_config(f"{folder}", names)
    return ModelSource(folder.name, folder, None, names)
