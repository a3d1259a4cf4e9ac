"""Where an SAE of another program is: a folder or file of this machine, or one on the hub."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import HubError, StateError, UsageError
from ghosttrack_cli.foreign.families import qwen_scope
from ghosttrack_cli.foreign.found import ForeignSAE, Found
from ghosttrack_cli.foreign.table import FAMILIES, Family, family_of
from ghosttrack_cli.hub import errors
from ghosttrack_cli.hub.download import cached_file, fetch_file
from ghosttrack_cli.hub.ids import is_hub_id
from ghosttrack_cli.quantities import counted, expand_home

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ghosttrack_cli.site import Site

HUB = "hub:"
REVISION = r"[\w][\w./-]{0,199}"
ON_HUB = re.compile(rf"hub:([^/@]+/[^/@]+)(?:/([^@]+?))?/?(?:@({REVISION}))?", re.ASCII)
HOW = "SOURCE is a folder, or hub:OWNER/NAME, with /FOLDER and @REVISION where needed"
SHOWN = 8
MAX_LISTED = 20_000


@dataclass(frozen=True)
class OnHub:
    """A folder, or a file, of a repository: "" is the repository itself."""

    repository: str
    path: str
    revision: str | None

    @classmethod
    def parse(cls, text: str) -> OnHub:
        """Read "hub:OWNER/NAME/FOLDER@REVISION".

        Raises:
            UsageError: anything else.
        """
        match = ON_HUB.fullmatch(text)
        if match is None or not is_hub_id(match[1], owned=True) or ".." in text:
            raise UsageError(f"not a place on the hub: {text[:200]!r}", hint=HOW)
        return cls(match[1], match[2] or "", match[3])


def read_source(text: str, site: Site | None, cache_dir: Path | None = None) -> ForeignSAE:
    """Read the SAE that `text` names; `site` chooses among files of several layers.

    Raises:
        UsageError: no such place, or one that has several SAEs or none.
        HubError: the hub cannot be reached, or refuses.
        ModelError: an SAE of a kind that cannot be expressed, or of a place that is not read here.
        CorruptionError: files that are missing, damaged, or do not fit each other.
        DiskError: they cannot be read.
    """
    if text.startswith(HUB):
        family, found = _on_hub(OnHub.parse(text), site, cache_dir)
    else:
        family, found = _local(text, site)
    try:
        return family.read(found)
    except FileNotFoundError as error:
        raise StateError(f"a file is missing: {error.filename or error}") from error


def _local(text: str, site: Site | None) -> tuple[Family, Found]:
    try:
        path = Path(expand_home(text)).absolute()
    except ValueError as error:
        raise UsageError(f"no such folder: {text[:200]!r}: {error}", hint=HOW) from error
    if path.is_file():
        folder, file = path.parent, path.name
    elif path.is_dir():
        folder, file = path, None
    else:
        raise UsageError(f"no such folder: {text[:200]}", hint=HOW)
    with files.disk_errors(folder, "list"):
        names = [one.name for one in folder.iterdir() if one.is_file()]
    file = file or _of_layer(names, site)
    family = family_of(names, file)
    if family is None:
        raise _none_here(text, _listed(folder))
    return family, Found(folder, str(path), file)


def _listed(folder: Path) -> list[str]:
    """Files below `folder` by their paths in it, not too many."""
    found: list[str] = []
    for path in folder.rglob("*"):
        if len(found) >= MAX_LISTED:
            break
        found.append(path.relative_to(folder).as_posix())
    return found


def _on_hub(place: OnHub, site: Site | None, cache_dir: Path | None) -> tuple[Family, Found]:
    names = _names(place, cache_dir)
    inside = _inside(names, place.path)
    folder, file = place.path, None
    if not inside and place.path in names:
        folder, _, file = place.path.rpartition("/")
        inside = _inside(names, folder)
    here = [name for name in inside if "/" not in name]
    file = file or _of_layer(here, site)
    family = family_of(here, file)
    if family is None:
        raise _none_here(f"{HUB}{place.repository}{folder and '/'}{folder}", inside)
    listed = [file] if file else [*family.needs, *family.may_have]
    wanted = [path for path in (_path(folder, name) for name in listed) if path in names]
    root = _fetch(place, wanted, cache_dir)
    where = f"{place.repository}/{folder}".rstrip("/")
    return family, Found(root / folder, f"{where}/{file}" if file else where, file)


def _names(place: OnHub, cache_dir: Path | None) -> tuple[str, ...]:
    """The files of the repository; without a hub, those of the place in the cache."""
    try:
        return errors.look_up("model", place.repository, place.revision).files
    except HubError:
        cached = _cached(place, cache_dir)
        if place.path in cached or family_of(_inside(cached, place.path)):
            return cached
        raise


def _fetch(place: OnHub, names: list[str], cache_dir: Path | None) -> Path:
    """Fetch files of one commit; the folder that stands for the repository."""
    # Asked for by branch or tag, the cache remembers the commit behind it for times without a hub.
    first = fetch_file(place.repository, names[0], place.revision, cache_dir)
    root = first.parents[names[0].count("/")]
    for name in names[1:]:
        fetch_file(place.repository, name, root.name, cache_dir)
    return root


def _path(folder: str, name: str) -> str:
    """A file's path in the repository; "../NAME" is one in the folder above."""
    if name.startswith("../"):
        return str(PurePosixPath(folder).parent / name[3:])
    return str(PurePosixPath(folder) / name)


def _inside(names: Iterable[str], folder: str) -> list[str]:
    """Files in `folder` or below it, by their paths in it."""
    start = f"{folder}/" if folder else ""
    return [name.removeprefix(start) for name in names if name.startswith(start)]


def _cached(place: OnHub, cache_dir: Path | None) -> tuple[str, ...]:
    """Files of the place that an earlier run fetched, for times without a hub."""
    known = dict.fromkeys(name for one in FAMILIES for name in (*one.needs, *one.may_have))
    paths = [_path(place.path, name) for name in known]
    return tuple(
        name
        for name in [*paths, place.path]
        if name and cached_file(place.repository, name, place.revision, cache_dir)
    )


def _of_layer(names: Iterable[str], site: Site | None) -> str | None:
    """The file of the asked layer, where each layer has one."""
    found = [name for name in names if qwen_scope.WEIGHTS.fullmatch(name)]
    wanted = None if site is None else f"layer{site.layer}.sae.pt"
    return wanted if wanted in found else None


def _none_here(text: str, names: list[str]) -> UsageError:
    """The error of a folder without an SAE: it may be one above those that have one."""
    within = defaultdict(set)
    for name in names:
        folder, _, file = name.rpartition("/")
        within[folder].add(file)
    found = sorted(folder for folder, here in within.items() if family_of(here))
    found += sorted(name for name in names if qwen_scope.WEIGHTS.fullmatch(name))
    if not found:
        known = "; ".join(f"{one.name} {' and '.join(one.needs)}" for one in FAMILIES)
        return UsageError(f"no SAE of a kind that is known here: {text[:200]}", hint=known)
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return UsageError(
        f"{text[:200]} has {counted(len(found), 'SAE')}: {', '.join(found[:SHOWN])}{more}",
        hint=f"name one: {text.rstrip('/')}/{found[0]}",
    )
