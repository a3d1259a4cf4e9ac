"""Export from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.cli.actions.outcome import Outcome, give, trained_layers
from ghosttrack_cli.cli.terminal.output import line
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.monitor import Part
from ghosttrack_cli.quantities import format_bytes

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import CheckpointKind

SAES = Part("SAEs", 0.0, 1.0)
KINDS: dict[str, CheckpointKind] = {"best": "best", "final": "final"}


def export(
    session: Session, layers: str | None, *, checkpoint: str, to: str | None, dry_run: bool
) -> None:
    """Write the chosen SAE of each layer for dictionary_learning."""
    if checkpoint not in KINDS:
        raise UsageError(
            f"--checkpoint: {checkpoint!r} is neither best nor final", hint="--checkpoint best"
        )
    kind = KINDS[checkpoint]
    workspace = session.workspace
    folder = workspace.exports if to is None else Path(to)
    written = {}
    chosen = trained_layers(session, layers, kind)
    if dry_run:
        give(session, plan_export(session, chosen, kind, folder))
        return
    with session.monitor() as monitor:
        from ghosttrack_cli.export.dictionary_learning import export_sae
        from ghosttrack_cli.sae.checksums import reading

        for layer in monitor.counted(SAES, chosen, len(chosen), "layers"):
            written[layer] = folder / f"layer_{layer}"
            with reading(workspace, [layer], "ghosttrack export"):
                export_sae(workspace.sae(layer, kind), written[layer], layer=layer)
    blocks = [line(f"layer {layer}: {path}") for layer, path in written.items()]
    document = {"layers": {str(layer): str(path) for layer, path in written.items()}}
    give(session, Outcome(document, blocks))


def plan_export(
    session: Session, layers: tuple[AnySite, ...], kind: CheckpointKind, folder: Path
) -> Outcome:
    """What an export would write, with bytes needed against bytes free."""
    from ghosttrack_cli.sae.checksums import WEIGHTS

    targets = {layer: folder / f"layer_{layer}" for layer in layers}
    needed = 0
    for layer in layers:
        weights = files.present_folder(session.workspace.sae(layer, kind)) / WEIGHTS
        needed += weights.stat().st_size if weights.is_file() else 0
    free = files.free_bytes(folder)
    replaced = [path for path in targets.values() if path.exists()]
    plan = {
        "layers": {str(layer): str(path) for layer, path in targets.items()},
        "replaced": [str(path) for path in replaced],
        "bytes_needed": needed,
        "bytes_free": free,
    }
    blocks = [
        *(line(f"layer {layer}: {path}") for layer, path in targets.items()),
        line(f"disk: {format_bytes(needed)} needed, {format_bytes(free)} free"),
        *(line(f"replaces {path}") for path in replaced),
    ]
    return Outcome({"plan": plan}, blocks)
