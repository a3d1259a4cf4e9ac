"""What trainings leave, and how they are stopped and compared."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.sae import JumpReLUSAE
from ghosttrack_cli.training.checkpoint import load_checkpoint
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


def outcome(workspace: Workspace) -> dict[str, bytes]:
    """Every byte that a training leaves, except how long it took."""
    found = {}
    for path in sorted(workspace.checkpoints.rglob("*")):
        if path.is_file() and path.suffix != ".json":
            found[str(path.relative_to(workspace.checkpoints))] = path.read_bytes()
    for name in ("history", "cfg", "checksums"):
        for path in workspace.checkpoints.rglob(f"*{name}.json"):
            found[str(path.relative_to(workspace.checkpoints))] = path.read_bytes()
    progress = json.loads(workspace.training_progress(LAYER).read_bytes())
    del progress["seconds"]
    found["progress"] = json.dumps(progress, sort_keys=True).encode()
    return found


def same(left: dict[str, bytes], right: dict[str, bytes]) -> None:
    newest = f"sae_layer_{LAYER}_last/step-{STEPS:09d}.safetensors"
    assert newest in left
    for name in left.keys() | right.keys():
        if "_last/" not in name or name == newest:
            assert left.get(name) == right.get(name), name


def tree(workspace: Workspace) -> dict[str, bytes]:
    """Every file that a training leaves, but for how long it took."""
    return {
        str(path.relative_to(workspace.checkpoints)): timeless(path)
        for path in sorted(workspace.checkpoints.rglob("*"))
        if path.is_file()
    }


def timeless(path: Path) -> bytes:
    """The bytes of a file, without the seconds in it and the sum over them."""
    data = path.read_bytes()
    if path.suffix != ".json":
        return data
    document = json.loads(data)
    if isinstance(document, dict):
        for part in (document, document.get("body", {})):
            for name in ("seconds", "sha256") if path.name.startswith("step-") else ("seconds",):
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
            JumpReLUSAE.load(folder)
    for path in (workspace.history(LAYER), workspace.training_progress(LAYER)):
        assert not path.exists() or files.read_json(path)
