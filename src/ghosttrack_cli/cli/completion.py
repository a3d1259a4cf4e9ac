"""Values for the shell's completion of options: what a setting takes, and what is on disk.

An empty list lets the shell complete names of files. Nothing heavy is loaded, nothing is refused.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import typer

from ghosttrack_cli.errors import GhostTrackError
from ghosttrack_cli.quantities import expand_home
from ghosttrack_cli.report.stored import stored_reports
from ghosttrack_cli.settings.catalogue import CATALOGUE, shown_default
from ghosttrack_cli.settings.origins import find_config, from_file
from ghosttrack_cli.site import Site, in_order
from ghosttrack_cli.workspace import Workspace

Completer = Callable[[str], list[str]]
WORKSPACE_KEY = "paths.workspace"
WITH_COMMAS = ("extraction.layers", "extraction.hook", "sae_training.log_to")
WITH_PATHS = ("model.name", "corpus.source", "interpretation.texts", WORKSPACE_KEY)


def of_setting(key: str) -> Completer:
    """Completes the values of a setting: its words, else its default; files where it takes them."""
    setting = CATALOGUE[key]
    default = "" if setting.default is None else shown_default(key)
    words = setting.words or ((default,) if default else ())

    def complete(incomplete: str) -> list[str]:
        if key in WITH_COMMAS:
            return listed(incomplete, words)
        found = matching(incomplete, words)
        return found + local_names(incomplete) if found and key in WITH_PATHS else found

    return complete


def of_words(*words: str) -> Completer:
    """Completes one of `words`."""

    def complete(incomplete: str) -> list[str]:
        return matching(incomplete, words)

    return complete


def layers(ctx: typer.Context, incomplete: str) -> list[str]:
    """The layers that a command can take in its workspace, and "all"."""
    place = workspace_of(ctx)
    found = {
        "train": stored_layers(place),
        "list": tuple(dict.fromkeys(one.layer for one in stored_reports(place.interpretations))),
    }.get(ctx.info_name or "", place.trained("best"))
    return listed(incomplete, [*map(str, found), *(["all"] if ctx.info_name != "list" else [])])


def sources(ctx: typer.Context, incomplete: str) -> list[str]:
    """The sources over which the workspace has reports."""
    found = stored_reports(workspace_of(ctx).interpretations)
    return matching(incomplete, sorted({one.source for one in found}))


def stored_layers(place: Workspace) -> tuple[Site, ...]:
    """The sites that have an array in the store, whether committed or not."""
    found: list[Site] = []
    with suppress(OSError):
        for path in place.store.glob("layers/*/*"):
            with suppress(ValueError):  # the metadata beside them
                found.append(Site.of_array(path.relative_to(place.store).as_posix()))
    return in_order(found)


def workspace_of(ctx: typer.Context) -> Workspace:
    """The workspace of the command line as far as it is written, as the command will find it."""
    given = _given(ctx, "workspace") or os.environ.get("GHOSTTRACK_PATHS__WORKSPACE")
    if not given:
        try:
            config = _given(ctx, "config")
            path = find_config(Path(config) if config else None)
            found = {} if path is None else from_file(path, CATALOGUE)
            given = str(found[WORKSPACE_KEY].value) if WORKSPACE_KEY in found else None
        except GhostTrackError:
            given = None
    given = given or str(CATALOGUE[WORKSPACE_KEY].default)
    try:
        return Workspace(Path(expand_home(given)))
    except ValueError:
        return Workspace(Path(given))


def _given(ctx: typer.Context, name: str) -> str | None:
    """A common option, before or after the command's name."""
    one: typer.Context | None = ctx
    while one is not None:
        if value := one.params.get(name):
            return str(value)
        one = one.parent  # type: ignore[assignment]
    return None


def matching(incomplete: str, words: Iterable[str]) -> list[str]:
    """The words that begin like that."""
    return [word for word in words if word.startswith(incomplete)]


def listed(incomplete: str, words: Iterable[str]) -> list[str]:
    """The same for the last of several words between commas: those that are not there yet."""
    before, comma, last = incomplete.rpartition(",")
    used = before.split(",")
    alone = ("all", "middle") if comma else ()
    return [
        f"{before}{comma}{word}"
        for word in words
        if word.startswith(last) and word not in used and word not in alone
    ]


def local_names(incomplete: str) -> list[str]:
    """What is in the current folder and begins like that; a shell completes other paths."""
    try:
        names = sorted(path.name for path in Path().iterdir())
    except OSError:
        return []
    return [one for one in matching(incomplete, names) if incomplete or not one.startswith(".")]
