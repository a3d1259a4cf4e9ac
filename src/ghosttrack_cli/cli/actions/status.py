"""The state of a workspace on the command line."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from ghosttrack_cli.cli.actions.own_flags import own_flags
from ghosttrack_cli.cli.actions.status_view import status_blocks, watched_blocks
from ghosttrack_cli.cli.terminal.meter import Meter
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.machine import clock
from ghosttrack_cli.quantities import counted
from ghosttrack_cli.status.gather import Overview, gather
from ghosttrack_cli.status.next_step import Step, next_step

if TYPE_CHECKING:
    from ghosttrack_cli.cli.actions.verify import Verified
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.cli.terminal.console import Console
    from ghosttrack_cli.cli.terminal.output import Line, Table

STATE_EXIT = 3


def status(session: Session, *, check: bool, verify: bool, watch: bool) -> None:
    """Show the state of the workspace; exit with 3 where it is not what was asked for."""
    if watch and session.options.json:
        raise UsageError("--watch and --json cannot be used together", hint="use one of them")
    if watch:
        watch_status(session)
    session.say_earlier_store()
    overview, step = look(session)
    bad = read_back(session) if verify else None
    session.emit(
        status_document(session, overview, step, bad),
        lambda console: _show(console, session, overview, step, bad),
    )
    if bad and bad.chunks:
        session.console.error(
            f"the store has {len(bad.chunks)} bad chunks", session.again("extract --repair")
        )
        raise typer.Exit(STATE_EXIT)
    if bad and bad.files:
        session.console.error(
            f"{counted(len(bad.files), 'file')} damaged", session.again(bad.files[0].command)
        )
        raise typer.Exit(STATE_EXIT)
    if check and not overview.met:
        session.console.error(_unmet(overview), _command_line(session, step))
        raise typer.Exit(STATE_EXIT)


def watch_status(session: Session) -> None:
    """Show the state every two seconds, with how long an extraction still takes by its pace."""
    pace = Meter()

    def render(columns: int | None, rows: int | None) -> list[Line | Table]:
        overview, step = look(session)
        store = overview.store
        if store is not None:
            pace.update(clock.monotonic(), store.rows)
        left = pace.seconds_left(store.asked_rows) if store else None
        if columns is None or rows is None:
            return status_blocks(session, overview, step, left)
        return watched_blocks(session, overview, step, left, (columns, rows))

    session.console.watch(render)


def look(session: Session) -> tuple[Overview, Step]:
    """Gather the state of the session's workspace and the step that comes next."""
    overview = gather(session.workspace, session.settings.sae_training.target_recon_loss)
    return overview, next_step(overview, session.workspace.log, partial(own_flags, session))


def status_document(
    session: Session, overview: Overview, step: Step, bad: Verified | None
) -> dict[str, Any]:
    """The state as one JSON document."""
    layers = [
        {**asdict(one), "interpretation": one.interpretation and asdict(one.interpretation)}
        for one in overview.layers
    ]
    document = asdict(overview) | {
        "layers": layers,
        "workspace": str(session.workspace.root),
        "browser": str(overview.browser) if overview.browser else None,
        "met": overview.met,
        "next": _command_line(session, step),
    }
    if bad is None:
        return document
    damaged = [one.what for one in bad.files]
    return document | {"bad_chunks": bad.chunks, "damaged_files": damaged}


def _show(
    console: Console, session: Session, overview: Overview, step: Step, bad: Verified | None
) -> None:
    console.blocks(status_blocks(session, overview, step))
    if bad is not None:
        chunks, damaged = len(bad.chunks) or "no", len(bad.files) or "no"
        console.lines(
            "",
            f"verified: {chunks} bad chunks, {damaged} damaged files",
            *bad.chunks,
            *(one.what for one in bad.files),
        )


def _unmet(overview: Overview) -> str:
    names = [check.name for check in overview.checks if check.required and not check.met]
    return "the checklist failed: " + ", ".join([*overview.problems, *names])


def _command_line(session: Session, step: Step) -> str | None:
    return None if step.command is None else session.again(step.command)


def read_back(session: Session) -> Verified:
    """Read everything back that carries a checksum."""
    from ghosttrack_cli.cli.actions.verify import verify

    return verify(session)
