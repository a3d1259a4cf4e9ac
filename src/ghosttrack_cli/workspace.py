"""Where everything lies: the names and paths inside one workspace folder, and nothing else."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ghosttrack_cli.site import SITE, Site

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.site import AnySite

CheckpointKind = Literal["last", "best", "final"]
SAE_NAME = rf"sae_layer_({SITE})"
MAIN_SOURCE = "store"
"""The texts whose report has the original file name: those that the store was made from."""


@dataclass(frozen=True)
class Workspace:
    """The layout of DESIGN: one store, checkpoints and interpretations for each layer."""

    root: Path
    checkpoints_folder: Path | None = None
    """Where the SAEs lie, if not in the workspace."""

    @property
    def store(self) -> Path:
        """The Zarr v3 group with the activations."""
        return self.root / "activations.zarr"

    @property
    def checkpoints(self) -> Path:
        """The folder of all SAEs."""
        return self.checkpoints_folder or self.root / "checkpoints"

    @property
    def interpretations(self) -> Path:
        """The folder of all reports."""
        return self.root / "interpretations"

    @property
    def log(self) -> Path:
        """What the commands did, one line an event."""
        return self.root / "ghosttrack.log"

    def lock(self, stage: str) -> Path:
        """The lock file that one writer of `stage` holds."""
        return self.root / f".{stage}.lock"

    def readers_lock(self, layer: AnySite) -> Path:
        """The lock file that those share who read the SAEs of a layer, beside these."""
        return sae_readers_lock(self.checkpoints, layer)

    def sae(self, layer: AnySite, kind: CheckpointKind) -> Path:
        """A layer's SAE folder: "last" to resume from, "best" and "final" to use."""
        return self._of(layer, f"sae_layer_{layer}_{kind}")

    def trained(self, kind: CheckpointKind) -> tuple[Site, ...]:
        """Layers, ascending, that have an SAE of this kind."""
        layers = numbered_layers(self.checkpoints, f"sae_layer_{{}}_{kind}")
        return tuple(one for one in layers if (self.sae(one, kind) / "cfg.json").is_file())

    def history(self, layer: AnySite) -> Path:
        """The original's training history of a layer."""
        return self._of(layer, f"sae_layer_{layer}_history.json")

    def training_progress(self, layer: AnySite) -> Path:
        """The small manifest of a layer's training that `status` reads."""
        return self._of(layer, f"sae_layer_{layer}_progress.json")

    def retraining(self, layer: AnySite) -> Workspace:
        """Where a layer is trained anew while its earlier SAE stands: checkpoints of its own."""
        return Workspace(self.root, self.checkpoints / f"sae_layer_{layer}_new")

    def replacement(self, layer: AnySite) -> Path:
        """A finished retraining that is being moved into place, for the instant that takes."""
        return self.checkpoints / f"sae_layer_{layer}_ready"

    def _of(self, layer: AnySite, name: str) -> Path:
        """A layer's file or folder: in the replacement as long as it was not moved."""
        moving = self.replacement(layer) / name
        with suppress(OSError):  # a folder that cannot be read has none
            if moving.exists():
                return moving
        return self.checkpoints / name

    def tensorboard(self, layer: AnySite) -> Path:
        """What TensorBoard shows of a layer's training: one of the runs in the folder above."""
        return self.checkpoints / "tensorboard" / f"layer_{layer}"

    def wandb_run(self, layer: AnySite) -> Path:
        """The id of a layer's run at Weights & Biases."""
        return self.checkpoints / f"sae_layer_{layer}_wandb.json"

    def interpretation(self, layer: AnySite, source: str = MAIN_SOURCE) -> Path:
        """The original's interpretation file of a layer over `source`."""
        end = "" if source == MAIN_SOURCE else f"_{source}"
        return self.interpretations / f"layer_{layer}_interpretations{end}.json"

    def report(self, layer: AnySite, source: str) -> Path:
        """The folder with a layer's full report over `source`."""
        return self.interpretations / f"layer_{layer}" / source

    @property
    def exports(self) -> Path:
        """SAEs in the layouts of other programs."""
        return self.root / "exports"

    @property
    def browser(self) -> Path:
        """The page to open: it shows all interpreted layers."""
        return self.interpretations / "index.html"


def sae_readers_lock(checkpoints: Path, layer: AnySite) -> Path:
    """The lock file of those who read the SAEs of a layer in the folder `checkpoints`."""
    return checkpoints / f".sae_layer_{layer}.readers.lock"


def readers_lock_of(sae: Path) -> Path | None:
    """What readers of the SAE folder `sae` share; None for one that no workspace would name so.

    The SAE of a retraining, and one on its way into place, have the lock of the one that stands.
    """
    match = re.fullmatch(rf"{SAE_NAME}_(?:last|best|final)", sae.name)
    if match is None:
        return None
    inside = re.fullmatch(rf"{SAE_NAME}_(?:new|ready)", sae.parent.name)
    checkpoints = sae.parent.parent if inside else sae.parent
    return sae_readers_lock(checkpoints, Site.parse(match[1]))


def numbered_layers(folder: Path, name: str) -> tuple[Site, ...]:
    """Layers, ascending, with an entry in `folder` named like `name`, say "sae_layer_{}_best".

    None where the folder is missing or cannot be read.
    """
    before, after = map(re.escape, name.split("{}"))
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return ()
    matches = (re.fullmatch(rf"{before}({SITE}){after}", found) for found in names)
    return tuple(sorted(Site.parse(match[1]) for match in matches if match))
