"""A model on the hub: looked up, fetched file by file, or taken from an earlier run's cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import HubError
from ghosttrack_cli.hub import errors
from ghosttrack_cli.hub.download import REQUEST_SECONDS, cached_file, fetch_file, translated
from ghosttrack_cli.model.model_files import (
    CONFIG,
    TOKENIZER_FILES,
    WEIGHTS_INDEX,
    ModelSource,
    without_config,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

SMALL_FILES = (CONFIG, WEIGHTS_INDEX, *TOKENIZER_FILES)


def find(name: str, revision: str | None, cache_dir: Path | None) -> ModelSource:
    """Look up `name` on the hub and fetch its small files; without a hub, use the cache.

    Raises:
        HubError: the hub cannot be reached, or refuses, and the cache does not have the model.
    """
    try:
        repository = errors.look_up("model", name, revision)
    except HubError:
        cached = _cached(name, revision, cache_dir)
        if cached is None:
            raise
        return cached
    if CONFIG not in repository.files:
        raise without_config(f"{name} on the hub", frozenset(repository.files))
    # Asked for by branch or tag, the cache remembers the commit behind it for times without a hub.
    commit = _fetch(name, revision, [CONFIG], cache_dir).name
    small = [file for file in SMALL_FILES if file in repository.files]
    folder = _fetch(name, commit, small, cache_dir)
    return ModelSource(name, folder, commit, frozenset(repository.files))


def fetch(source: ModelSource, names: Iterable[str], cache_dir: Path | None) -> None:
    """Fetch the files `names` of `source`; those in the cache are not asked for again."""
    assert source.revision is not None
    _fetch(source.name, source.revision, names, cache_dir)


def size(source: ModelSource, name: str) -> int:
    """Bytes of a file that has not been fetched."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    with translated(f"{name} of the model {source.name!r}"):
        url = hf_hub_url(source.name, name, revision=source.revision)
        return get_hf_file_metadata(url, timeout=REQUEST_SECONDS).size or 0


def _fetch(name: str, revision: str | None, names: Iterable[str], cache_dir: Path | None) -> Path:
    folder = Path()
    for file in names:
        folder = fetch_file(name, file, revision, cache_dir).parent
    return folder


def _cached(name: str, revision: str | None, cache_dir: Path | None) -> ModelSource | None:
    config = cached_file(name, CONFIG, revision, cache_dir)
    if config is None:
        return None
    folder = config.parent
    names = frozenset(path.name for path in folder.iterdir() if path.is_file())
    return ModelSource(name, folder, folder.name, names)
