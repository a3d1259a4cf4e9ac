"""What a stage gives back to the command line: a document, lines, and layers chosen from text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from ghosttrack_cli.cli.terminal.output import command_line
from ghosttrack_cli.errors import GhostTrackError, StateError, UsageError
from ghosttrack_cli.site import MAX_LAYERS, format_layers, in_order, parse_layers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.cli.terminal.console import Console
    from ghosttrack_cli.cli.terminal.output import Line, Table
    from ghosttrack_cli.site import AnySite, Site
    from ghosttrack_cli.workspace import CheckpointKind


@dataclass(frozen=True)
class Outcome:
    """A stage's result: for --json, for people, and the command that comes next."""

    document: dict[str, Any]
    blocks: Sequence[Line | Table]
    next_commands: tuple[str, ...] = ()
    """What comes next, or what there is to look at, most wanted first."""
    refusal: GhostTrackError | None = None
    """Of a plan: what the run will end with, as it will."""


def give(session: Session, outcome: Outcome) -> None:
    """Emit an outcome and say what comes next; a plan ends as the run will end."""
    refusal = outcome.refusal
    document = outcome.document
    hint = session.here(refusal.hint) if refusal and refusal.hint else None
    if refusal is not None:
        told = {"what": refusal.what, "hint": hint, "exit_code": refusal.exit_code}
        document = {**document, "refused": told}

    def show(console: Console) -> None:
        console.blocks(list(outcome.blocks))
        if outcome.next_commands:
            following = map(session.again, outcome.next_commands)
            console.detail("next:", *map(command_line, following))

    session.emit(document, show)
    if refusal is not None:
        session.console.error(refusal.what, hint)
        raise typer.Exit(refusal.exit_code)


def trained_layers(session: Session, text: str | None, kind: CheckpointKind) -> tuple[Site, ...]:
    """The layers that `text` asks for, all of which have an SAE of this kind.

    Raises:
        StateError: no layer has one.
        UsageError: a layer that was asked for has none.
    """
    workspace = session.workspace
    present = workspace.trained(kind)
    if not present:
        raise StateError(f"no trained SAE in {workspace.checkpoints}", hint=session.again("train"))
    return choose_layers(text, present, have="trained SAE")


def choose_layers(text: str | None, available: Iterable[AnySite], *, have: str) -> tuple[Site, ...]:
    """The layers that `text` asks for among those `available`; all of them without a text.

    Raises:
        UsageError: a layer that is not available; `have` says what the others have.
    """
    present = in_order(available)
    if text is None or text.strip().lower() == "all":
        return present
    if text.strip().lower() == "middle":
        return present[len(present) // 2 :][:1]
    chosen = parse_layers(text, MAX_LAYERS)
    missing = [layer for layer in chosen if layer not in present]
    if missing:
        raise UsageError(
            f"--layers: layer {format_layers(missing)} has no {have}, available: "
            f"{format_layers(present) or 'none yet'}",
            hint=_instead(missing[0], present),
        )
    return chosen


def _instead(missing: Site, present: tuple[Site, ...]) -> str:
    """What to name instead of a layer: what it has at other hook points, if anything."""
    same = [site for site in present if site.layer == missing.layer]
    return f"--layers {format_layers(same)}" if same else "ghosttrack status shows the layers"
