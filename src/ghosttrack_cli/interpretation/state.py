"""An unfinished pass on disk: enough to go on as if it had never stopped.

interpretations/.unfinished/store/
  state.json                   cursor, counters, and which tensor files belong to them; written last
  layer_6.3.safetensors        the collector of layer 6 at the third save
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.report.facts import SourceFacts
from ghosttrack_cli.report.stored import SCHEMA_VERSION
from ghosttrack_cli.tensorfiles import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from ghosttrack_cli.interpretation.collect.layer_pass import LayerPass
    from ghosttrack_cli.interpretation.collect.row_batch import JSON
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import Workspace

UNFINISHED, STATE = ".unfinished", "state.json"
NOT_OURS = (LookupError, TypeError, ValueError, AttributeError)
"""What reading a sealed document raises that has other fields than the one that was saved."""


@dataclass(frozen=True)
class Place:
    """How far a pass is: where the next batch starts, and what was read so far."""

    cursor: JSON
    facts: SourceFacts
    done: bool


class PassState:
    """The folder of one unfinished pass over some layers: each source of rows has its own."""

    def __init__(
        self, workspace: Workspace, source: str, fingerprints: Mapping[AnySite, str] | None = None
    ) -> None:
        self._folder = workspace.interpretations / UNFINISHED / source
        self._fingerprints = {str(layer): text for layer, text in (fingerprints or {}).items()}
        self._saves = 0

    def save(self, place: Place, passes: Sequence[LayerPass]) -> None:
        """Write the state of all layers; the one before stays valid until this one is whole."""
        files.make_folder(self._folder)
        self._saves += 1
        layers = {str(one.layer): self._save_layer(one) for one in passes}
        document = {
            "schema": SCHEMA_VERSION,
            "fingerprints": self._fingerprints,
            "saves": self._saves,
            "cursor": place.cursor,
            "facts": place.facts.model_dump(mode="json"),
            "done": place.done,
            "layers": layers,
        }
        files.write_sealed(self._folder / STATE, document)
        self._remove_all_but({layer["file"] for layer in layers.values()})

    def _save_layer(self, one: LayerPass) -> dict[str, Any]:
        name = f"layer_{one.layer}.{self._saves}.safetensors"
        digest = write_tensors(self._folder / name, one.tensors())
        return {"file": name, "sha256": digest, "state": one.state()}

    def _remove_all_but(self, names: set[str]) -> None:
        for path in self._folder.glob("*.safetensors*"):
            if path.name not in names:
                files.remove(path)

    def load(self, passes: Sequence[LayerPass]) -> Place | None:
        """Restore the layers and say where to go on; None if nothing fitting was saved.

        A damaged state is no state: the pass starts over.
        """
        try:
            document = files.read_sealed(self._folder / STATE)
            if not self._fits(document):
                return None
            saved = [self._saved_layer(document, one) for one in passes]
            place = _place(document)
            saves = int(document["saves"])
        except (FileNotFoundError, CorruptionError, *NOT_OURS):
            return None
        for one, (state, arrays) in zip(passes, saved, strict=True):
            one.restore(state, arrays)
        self._saves = saves
        return place

    def _saved_layer(
        self, document: Mapping[str, Any], one: LayerPass
    ) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
        saved = document["layers"][str(one.layer)]
        if not re.fullmatch(rf"layer_{re.escape(str(one.layer))}\.\d+\.safetensors", saved["file"]):
            raise CorruptionError(f"not the name of a state: {str(saved['file'])[:60]!r}")
        tensors = self._read_tensors(saved)
        if not one.fits(saved["state"], tensors):
            raise CorruptionError(f"not the state of such a pass: {self._folder / STATE}")
        return saved["state"], tensors

    def _fits(self, document: Mapping[str, Any]) -> bool:
        if document.get("schema") != SCHEMA_VERSION:
            return False
        saved = document["fingerprints"]
        return all(saved.get(layer) == text for layer, text in self._fingerprints.items())

    def _read_tensors(self, saved: Mapping[str, Any]) -> dict[str, Tensor]:
        return read_tensors(self._folder / saved["file"], sha256=saved["sha256"])

    def exists(self) -> bool:
        """Whether a pass is unfinished, or its reports are not on the page yet."""
        return self._folder.exists()

    def remove(self) -> None:
        """Delete it: the pass is over, or another one begins."""
        files.remove(self._folder)
        files.remove_if_empty(self._folder.parent)


def _place(document: Mapping[str, Any]) -> Place:
    facts = SourceFacts.model_validate(document["facts"])
    return Place(document["cursor"], facts, bool(document["done"]))
