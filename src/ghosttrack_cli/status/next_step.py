"""Which command comes next in a workspace."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli.report.stored import how_to_make
from ghosttrack_cli.settings.remembered import is_remembered
from ghosttrack_cli.site import format_layers, named_layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.status.gather import Overview
    from ghosttrack_cli.status.layer_status import LayerStatus

TEXTS = "python-docs"
"""Text that is there wherever Python is."""
LOG_TAIL_BYTES = 2**18


@dataclass(frozen=True)
class Step:
    """What comes next: `command` behind "ghosttrack", None where none is left; `why` in words."""

    command: str | None
    why: str


def next_step(
    overview: Overview, log: Path, own_flags: Callable[[LayerStatus], str] = lambda _: ""
) -> Step:
    """The next command for the workspace whose log is `log`.

    `own_flags` are what a layer needs to be trained on as it was begun.
    """
    layers = overview.layers
    untrained = _numbers(layers, lambda one: one.training is None or not one.training.finished)
    unread = _numbers(layers, lambda one: not one.interpreted)
    if overview.store is None and not layers:
        return Step("extract --layer 6 --tokens 1M", "this workspace is empty")
    if overview.store is None and untrained:
        return Step("extract --overwrite", "the store cannot be read")
    if overview.store and overview.store.unfinished and not ended_well(log, "extract"):
        rows = f"{overview.store.rows:,} of {overview.store.asked_rows:,} rows are stored"
        return Step(_extract(log), f"extraction is not finished: {rows}")
    if untrained:
        return _train(untrained, layers, own_flags)
    return _interpret(unread, overview) or Step(None, "everything is done")


def _interpret(unread: list[AnySite], overview: Overview) -> Step | None:
    """What a damaged report takes, or a layer without a current one, or the page."""
    layers = overview.layers
    for one in layers:
        for each in one.interpretations:
            if each.damaged:
                folder = Path(f"layer_{one.layer}", each.slug)
                why = f"the report of layer {one.layer} over {each.slug} is damaged"
                return Step(how_to_make(folder).removeprefix("ghosttrack "), why)
    if not unread:
        why = "the page is not whole"
        return None if overview.page_whole else Step("interpret", why)
    without = [
        (one.layer, one.training.imported)
        for one in layers
        if one.layer in unread and not one.rows and one.training and one.training.imported
    ]
    if without:
        layer, imported = without[0]
        model = None if overview.store else imported.model
        why = f"layer {layer} was imported and has no report, and the store has no rows of it"
        return Step(over_texts(layer, model), why)
    old = any(one.interpretation and not one.interpreted for one in layers)
    why = "some reports are of an earlier SAE" if old else "some layers have no report yet"
    return Step(_for_layers("interpret", unread, layers), why)


def over_texts(layer: AnySite, model: str | None) -> str:
    """The command that interprets a layer over TEXTS, through the model that is known."""
    command = f"interpret --layers {layer} --texts {TEXTS}"
    return command if model is None else f"{command} --model {shlex.quote(model)}"


def _train(
    untrained: list[AnySite],
    layers: tuple[LayerStatus, ...],
    own_flags: Callable[[LayerStatus], str],
) -> Step:
    """The first of them, with all others that need the same flags."""
    flags = {one.layer: own_flags(one) for one in layers if one.layer in untrained}
    first = flags[untrained[0]]
    chosen = [layer for layer in untrained if flags[layer] == first]
    why = "some layers have no trained SAE yet"
    if first:
        why = f"{named_layers(chosen)}: begun with other settings than those given now"
    command = _for_layers("train", chosen, layers)
    return Step(f"{command} {first}" if first else command, why)


def _numbers(
    layers: tuple[LayerStatus, ...], missing: Callable[[LayerStatus], bool]
) -> list[AnySite]:
    return [one.layer for one in layers if missing(one)]


def _for_layers(command: str, chosen: list[AnySite], layers: tuple[LayerStatus, ...]) -> str:
    return command if len(chosen) == len(layers) else f"{command} --layers {format_layers(chosen)}"


def _extract(log: Path) -> str:
    """Plain where the workspace remembers what the store was made with.

    The newest command in the log may be one that was refused, or that failed to replace the store.
    """
    remembered = is_remembered(log.parent, "extract")
    return "extract" if remembered else last_command(log, "extract") or "extract"


def last_command(log: Path, command: str) -> str | None:
    """The newest command line of `command` in the log, without "ghosttrack"."""
    found = _events(log, rf"{command} process \d+: started: ghosttrack (.+)")
    return found[-1] if found else None


def ended_well(log: Path, command: str) -> bool:
    """Whether the newest run of `command` ended with exit code 0: an extraction out of text."""
    found = _events(log, rf"(?:{command}|run|demo) process \d+: (started|ended with \d+)\b.*")
    return bool(found) and found[-1] == "ended with 0"


def _events(log: Path, pattern: str) -> list[str]:
    """What `pattern` picks out of the newest lines of the log, the oldest first."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            text = file.read(LOG_TAIL_BYTES).decode("ascii", "replace")
    except OSError:
        return []
    return [str(one) for one in re.findall(rf"^\S+ {pattern}$", text, re.MULTILINE)]
