"""Files of a repository on the hub: fetched into the libraries' cache, or found there."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli.hub import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST_SECONDS = 8.0


def fetch_file(name: str, file: str, revision: str | None, cache_dir: Path | None) -> Path:
    """Where `file` of the repository `name` lies; it is fetched if the cache does not have it.

    Raises:
        HubError: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import hf_hub_download

    with translated(f"{file} of the model {name!r}"):
        path = hf_hub_download(
            name, file, revision=revision, cache_dir=cache_dir, etag_timeout=REQUEST_SECONDS
        )
    return Path(path)


def cached_file(name: str, file: str, revision: str | None, cache_dir: Path | None) -> Path | None:
    """Where `file` of the repository `name` lies in the cache; None if it does not."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(name, file, cache_dir=cache_dir, revision=revision)
    return Path(path) if isinstance(path, str) else None


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Within it errors of the hub are HubErrors that say `what` was asked for."""
    try:
        yield
    except Exception as error:
        found = errors.translate_hub_error(error, what)
        if found is None:
            raise
        raise found from error
