"""Everything in a workspace that carries a checksum, read back: store, SAEs, reports, page."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.cli.hints import shell_word
from ghosttrack_cli.errors import CorruptionError, GhostTrackError
from ghosttrack_cli.leftovers import tree_bytes
from ghosttrack_cli.machine.signals import raise_if_stopped
from ghosttrack_cli.monitor import outline
from ghosttrack_cli.report.stored import how_to_make, stored_reports
from ghosttrack_cli.store.format.commit_record import has_store
from ghosttrack_cli.workspace import numbered_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.report.stored import StoredReport
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import CheckpointKind, Workspace

STORE, FILES = outline(("store", 80), ("verifying files", 20))
USED: tuple[CheckpointKind, ...] = ("best", "final")


@dataclass(frozen=True)
class Damage:
    """A damaged file, and the command behind "ghosttrack" that makes it anew."""

    what: str
    command: str


@dataclass(frozen=True)
class Verified:
    """What is not as it was written."""

    chunks: list[str] = field(default_factory=list)
    files: list[Damage] = field(default_factory=list)


@dataclass(frozen=True)
class _Piece:
    """Some files that are looked at together: `wrong` says what is wrong with them."""

    bytes: int
    command: str
    wrong: Callable[[], Iterable[str]]

    def damage(self) -> list[Damage]:
        """What is wrong at both of two looks: a process at work may replace files meanwhile."""
        found = list(self.wrong())
        again = set(self.wrong()) if found else set()
        return [Damage(one, self.command) for one in found if one in again]


def verify(session: Session) -> Verified:
    """Read everything back and name what is damaged.

    Raises:
        StateError: the workspace has nothing of all that.
        Stopped: a signal came.
    """
    workspace = session.workspace
    with session.monitor("verify") as monitor:
        pieces = list(_pieces(workspace))
        chunks = _bad_chunks(workspace, monitor) if has_store(workspace.store) or not pieces else []
        damaged: list[Damage] = []
        total = sum(piece.bytes for piece in pieces)
        for piece in monitor.counted(FILES, pieces, total, "bytes", lambda one: one.bytes):
            damaged += piece.damage()
            raise_if_stopped(monitor.stop_signal)
    return Verified(chunks, damaged)


def _bad_chunks(workspace: Workspace, monitor: Monitor) -> list[str]:
    from ghosttrack_cli.store.read.reader import ActivationStore

    store = ActivationStore.open(workspace.store)
    return [str(one) for one in store.verify(monitor.within(STORE))]


def _pieces(workspace: Workspace) -> Iterator[_Piece]:
    for kind in USED:
        for layer in numbered_layers(workspace.checkpoints, f"sae_layer_{{}}_{kind}"):
            yield _sae(workspace.sae(layer, kind), layer)
    for layer in numbered_layers(workspace.checkpoints, "sae_layer_{}_last"):
        yield _checkpoints(workspace.sae(layer, "last"), layer)
    for layer in numbered_layers(workspace.checkpoints, "sae_layer_{}_new"):
        yield _checkpoints(workspace.retraining(layer).sae(layer, "last"), layer)
    for stored in stored_reports(workspace.interpretations):
        yield from _report(workspace, stored)
    yield from _page(workspace)


def _sae(folder: Path, layer: AnySite) -> _Piece:
    from ghosttrack_cli.sae.checksums import check_files
    from ghosttrack_cli.sae.origin import read_imported

    look = partial(files.read_folder, folder, check_files)
    imported = read_imported(folder)
    command = f"train --layers {layer} --overwrite"
    if imported is not None:
        command = f"import {shell_word(imported.source)} --site {layer} --overwrite"
    return _Piece(tree_bytes(folder), command, partial(_said, look))


def _checkpoints(folder: Path, layer: AnySite) -> _Piece:
    from ghosttrack_cli.training.records.checkpoint import damaged_checkpoints

    command = f"train --layers {layer} --overwrite"
    return _Piece(tree_bytes(folder), command, partial(damaged_checkpoints, folder))


def _report(workspace: Workspace, stored: StoredReport) -> Iterator[_Piece]:
    from ghosttrack_cli.report.report_files import WholeReport

    command = how_to_make(stored.folder).removeprefix("ghosttrack ")
    records = workspace.interpretation(stored.layer, stored.source)
    try:
        whole = WholeReport(stored.folder)
    except FileNotFoundError:
        return
    except CorruptionError as error:
        yield _Piece(0, command, partial(list, [error.what]))
        return
    for name, facts in whole.summary.files.items():
        yield _Piece(facts.bytes, command, partial(_said, partial(whole.data, name)))
    yield _Piece(
        whole.summary.records.bytes, command, partial(_said, partial(whole.check_records, records))
    )


def _page(workspace: Workspace) -> Iterator[_Piece]:
    from ghosttrack_cli.browser.page_files import check_file, listed_files

    try:
        listed = listed_files(workspace.interpretations)
    except CorruptionError as error:
        yield _Piece(0, "interpret", partial(list, [error.what]))
        return
    for name, facts in listed.items():
        look = partial(check_file, workspace.interpretations, name, facts)
        yield _Piece(facts.bytes, "interpret", partial(_said, look))


def _said(look: Callable[[], object]) -> list[str]:
    """What a look at files says is wrong; nothing where they are gone."""
    with suppress(FileNotFoundError):
        try:
            look()
        except GhostTrackError as error:
            return [error.what]
    return []
