"""Where a model's files are: a local folder, the hub, or the hub's cache when the hub is away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.hub.ids import is_hub_id
from ghosttrack_cli.model.model_files import (
    CONFIG,
    OTHER_SOURCES,
    ModelSource,
    without_config,
)

if TYPE_CHECKING:
    from ghosttrack_cli.settings.schema import ModelSettings


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
    if not is_hub_id(settings.name):
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


def _local_source(folder: Path) -> ModelSource:
    folder = folder.resolve()
    with files.disk_errors(folder, "list"):
        names = frozenset(path.name for path in folder.iterdir() if path.is_file())
    if CONFIG not in names:
        raise without_config(f"{folder}", names)
    return ModelSource(folder.name, folder, None, names)
