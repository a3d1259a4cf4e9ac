"""Whole extractions that are killed: the program `python -m tests.extraction.forks`."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

from tests.forks import run_program
from tests.store import synthetic

from ghosttrack_cli.files import staging
from ghosttrack_cli.machine.devices import torch_threads
from ghosttrack_cli.settings.schema import CorpusSettings, ExtractionSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest
from ghosttrack_cli.store.format.identity import StoreIdentity
from ghosttrack_cli.store.write import committer
from ghosttrack_cli.workspace import Workspace

CHUNK_ROWS = 512
LATER_IMPORTS = [
    "ghosttrack_cli.extraction.run",
    "ghosttrack_cli.text.local",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.gpt2.modeling_gpt2",
]


def request(settings: tuple[Any, ...]) -> dict[str, Any]:
    """Arguments of `extract` as a request."""
    *sections, workspace = settings
    return {
        "sections": [section.model_dump(mode="json") for section in sections],
        "workspace": str(workspace.root),
    }


def use_small_parts() -> None:
    """Small chunks, segments, commits and buffers, so that a short run has many of them."""
    from ghosttrack_cli.extraction import task

    task.StoreIdentity = partial(StoreIdentity, chunk_rows=CHUNK_ROWS)  # type: ignore[assignment, attr-defined]
    synthetic.use_small_segments()
    committer.COMMIT_CHUNKS, committer.COMMIT_SECONDS = 2, math.inf
    staging.BUFFER_BYTES = 2 * staging.BLOCK_BYTES


def extract(request: dict[str, Any]) -> None:
    from ghosttrack_cli.extraction.stage import extract

    model, corpus, extraction = request["sections"]
    with torch_threads(2):  # two forward passes at once, one thread each
        extract(
            StageRequest(
                ModelSettings(**model),
                CorpusSettings(**corpus),
                ExtractionSettings(**extraction),
                Workspace(Path(request["workspace"])),
                overwrite=request.get("overwrite", False),
            )
        )


if __name__ == "__main__":
    run_program(extract, LATER_IMPORTS, use_small_parts)
