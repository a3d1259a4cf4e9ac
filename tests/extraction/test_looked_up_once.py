"""A model is looked up once for whatever is done with it: requests, as the hub counts them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ghosttrack_cli.extraction.checks import check
from ghosttrack_cli.extraction.plan import plan
from ghosttrack_cli.extraction.stage import execute, extract
from ghosttrack_cli.monitor import SILENT
from ghosttrack_cli.settings.schema import CorpusSettings, ExtractionSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from tests.hub.server import Hub

    from ghosttrack_cli.workspace import Workspace


def test_an_extraction_looks_its_model_up_once(
    hub_here: Hub, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": "some words " * 40}) + "\n" for _ in range(40)))
    cache = tmp_path / "cache"

    def request(tokens: int) -> StageRequest[ExtractionSettings]:
        model = ModelSettings(name="gpt2", device="cpu")
        settings = ExtractionSettings(tokens=tokens, layers="0", context_length=16)
        return StageRequest(model, CorpusSettings(source=str(texts)), settings, workspace, cache)

    def asked() -> list[str]:
        found = [one for one in hub_here.requests if "/api/models/" in one]
        hub_here.requests.clear()
        return found

    asked()
    extract(request(300))
    # The short name is answered by a redirect.
    assert asked() == ["GET /api/models/gpt2", "GET /api/models/openai-community/gpt2"]
    for tokens in (300, 600):  # nothing to do, and more tokens
        extract(request(tokens))
        assert len(asked()) == 2
    # As `ghosttrack run` does: planned, compared with what is there, then executed.
    wanted = request(900)
    execute(check(wanted, plan(wanted), SILENT.notice, compare=True))
    assert len(asked()) == 2
