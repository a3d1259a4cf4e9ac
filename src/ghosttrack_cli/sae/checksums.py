"""The files of an SAE's folder, and what they say of it without loading it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, GhostTrackError
from ghosttrack_cli.workspace import readers_lock_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import CheckpointKind, Workspace

CONFIG, WEIGHTS, SPARSITY, CHECKSUMS = (
    "cfg.json",
    "sae_weights.safetensors",
    "sparsity.safetensors",
    "checksums.json",
)
MAX_CONFIG_BYTES = 2**22


def read_sums(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of an SAE; an SAE folder of another program has none.

    Raises:
        CorruptionError: the list of them is damaged.
    """
    try:
        sums = files.read_sealed(folder / CHECKSUMS, limit=MAX_CONFIG_BYTES)["sha256"]
        return {str(name): str(value) for name, value in sums.items()}
    except FileNotFoundError:
        return {}
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptionError(f"not a list of checksums: {folder / CHECKSUMS}") from error


def check_files(folder: Path) -> None:
    """Read every file of an SAE.

    Raises:
        FileNotFoundError: there is no such SAE.
        CorruptionError: a file is missing, or has other bytes than were written.
    """
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    for name, sha256 in read_sums(folder).items():
        path = folder / name
        if not path.is_file():
            raise CorruptionError(f"missing from an SAE: {path}")
        if files.sha256_file(path) != sha256:
            raise CorruptionError(f"checksum does not match: {path} is not what was written")


def is_outdated(workspace: Workspace, layer: AnySite, checkpoint: str, weights_sha256: str) -> bool:
    """Whether the SAE that a report describes was replaced since."""
    kind: CheckpointKind = "final" if checkpoint == "final" else "best"
    return is_another_sae(workspace.sae(layer, kind), weights_sha256)


def is_another_sae(folder: Path, weights_sha256: str | None) -> bool:
    """Whether `folder` is known to hold another SAE than the one with these weights."""
    try:
        present = read_sums(files.present_folder(folder)).get(WEIGHTS)
    except GhostTrackError:
        return False
    return None not in (present, weights_sha256) and present != weights_sha256


@contextmanager
def reading(workspace: Workspace, layers: Iterable[AnySite], purpose: str) -> Iterator[None]:
    """While the SAEs of `layers` are read no other process replaces them.

    Raises:
        LockedError: one is being replaced.
    """
    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(files.shared_lock(workspace.readers_lock(layer), purpose=purpose))
        yield


@contextmanager
def reading_folder(folder: Path, purpose: str) -> Iterator[None]:
    """The same for one SAE folder; nobody replaces one that a workspace would not name so.

    Raises:
        LockedError: it is being replaced.
    """
    folder = folder.absolute()
    lock = readers_lock_of(folder)
    with ExitStack() as stack:
        if lock is not None and folder.parent.is_dir():
            stack.enter_context(files.shared_lock(lock, purpose=purpose))
        yield
