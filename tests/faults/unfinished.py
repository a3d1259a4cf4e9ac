"""An unfinished interpretation: its state on disk, and passes that can take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ghosttrack_cli.interpretation.collect.collector import Collector, CollectorShape
from ghosttrack_cli.interpretation.collect.layer_pass import LayerPass
from ghosttrack_cli.interpretation.state import PassState, Place
from ghosttrack_cli.report.facts import SourceFacts
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FACTS = SourceFacts(
    kind="texts",
    slug="store",
    name="texts.jsonl",
    corpus=None,
    texts=3,
    windows=3,
    rows=90,
    context_length=32,
    truncated=0,
)


def save_pass(
    workspace: Workspace, folder: Path
) -> tuple[PassState, Callable[[], list[LayerPass]]]:
    """A pass over layer 0 that is saved below `folder`, and what makes empty passes like it."""
    sae = JumpReLUSAE.load(workspace.sae(0, "best"))

    def passes() -> list[LayerPass]:
        shape = CollectorShape(sae.d_hidden, vocabulary=257, kept=4, side=2, seed=0)
        collector = Collector(shape, np.zeros((sae.d_hidden, 2), np.int64))
        return [LayerPass(0, sae, collector, (), None)]

    state = PassState(Workspace(folder), "store", {0: "fingerprint"})
    state.save(Place([90, 0], FACTS, done=False), passes())
    assert state.load(passes()) is not None
    return state, passes
