"""What trainings leave, and how they are stopped and compared."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.sae.registry import load_sae
from ghosttrack_cli.training.records.checkpoint import load_checkpoint
from ghosttrack_cli.workspace import CheckpointKind, Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.training.conftest import Bench

LAYER = 3
STEPS = 42
KINDS: tuple[CheckpointKind, ...] = ("best", "final")


class StopAfter:
    """Asks to stop once a number of steps is finished."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> int | None:
        self.left -= 1
        return signal.SIGINT if self.left <= 0 else None


def elsewhere(bench: Bench, name: str) -> Workspace:
    return Workspace(bench.workspace.root, bench.workspace.root / name)


def tree(workspace: Workspace) -> dict[str, bytes]:
    """Every file that a training leaves, but for locks and how long it took."""
    return {
        str(path.relative_to(workspace.checkpoints)): timeless(path)
        for path in sorted(workspace.checkpoints.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def ending(workspace: Workspace) -> dict[str, bytes]:
    """The same without the last checkpoint but one, which depends on where a training stopped."""
    newest = f"sae_layer_{LAYER}_last/step-{STEPS:09d}"
    found = tree(workspace)
    assert f"{newest}.safetensors" in found
    return {name: data for name, data in found.items() if "_last/" not in name or newest in name}


def timeless(path: Path) -> bytes:
    """The bytes of a file, without the seconds in it and the sum over them."""
    data = path.read_bytes()
    if path.suffix != ".json":
        return data
    document = json.loads(data)
    if isinstance(document, dict):
        for part in (document, document.get("body", {})):
            for name in ("seconds", "checksum"):
                part.pop(name, None)
    return json.dumps(document).encode()


def assert_sound(workspace: Workspace) -> None:
    """Nothing that was finished once is damaged now."""
    passed_over: list[str] = []
    load_checkpoint(workspace.sae(LAYER, "last"), passed_over.append, limit=10**7)
    assert not passed_over
    for kind in KINDS:
        folder = workspace.sae(LAYER, kind)
        if files.present_folder(folder).is_dir():
            load_sae(folder)
    for path in (workspace.history(LAYER), workspace.training_progress(LAYER)):
        assert not path.exists() or files.read_sealed(path)
