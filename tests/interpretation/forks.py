"""Whole interpretations that are killed: the program `python -m tests.interpretation.forks`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.forks import run_program

from ghosttrack_cli.browser import pack
from ghosttrack_cli.interpretation import jobs, read_rows, stage
from ghosttrack_cli.interpretation.features import layer_report
from ghosttrack_cli.interpretation.sources import text_source
from ghosttrack_cli.monitor import Monitor
from ghosttrack_cli.report import feature_schema, report_files
from ghosttrack_cli.settings.schema import CorpusSettings, InterpretationSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest
from ghosttrack_cli.workspace import Workspace

LATER_IMPORTS = [
    "ghosttrack_cli.extraction.stage",
    "ghosttrack_cli.interpretation.sources.store_source",
    "ghosttrack_cli.text.local",
    "jinja2",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.gpt2.modeling_gpt2",
]


def notices(workspace: Workspace) -> Path:
    """What the runs in a workspace said, a line each."""
    return workspace.root / "notices.txt"


def use_small_parts() -> None:
    """Small batches, each with a save after it, small shards and files of the page."""
    from ghosttrack_cli.interpretation.sources import store_source

    for source in (text_source, store_source):
        source.BATCH_ROWS = 80  # type: ignore[attr-defined]
    for module in (feature_schema, report_files, layer_report):
        module.SHARD_FEATURES = 16  # type: ignore[attr-defined]
    read_rows.SAVE_SECONDS = -1
    stage.PROBE_ROWS = 100  # type: ignore[attr-defined]
    pack.FILE_TOKENS = 2000


def interpret(request: dict[str, Any]) -> None:
    """Run the stage; `together` says whether all layers go through the rows in one pass."""
    workspace = Workspace(Path(request["workspace"]), Path(request["checkpoints"]))
    if not request["together"]:
        jobs.STATE_BYTES = 1
    with notices(workspace).open("a", buffering=1) as said:
        asked = StageRequest(
            ModelSettings(name=request["model"], device="cpu"),
            CorpusSettings(min_characters=1),
            InterpretationSettings(**request["interpretation"]),
            workspace,
            overwrite=request["overwrite"],
        )
        monitor = Monitor(notice=lambda text: print(text, file=said))
        stage.interpret(request["layers"], asked, monitor)


if __name__ == "__main__":
    run_program(interpret, LATER_IMPORTS, use_small_parts)
