"""What a stage that runs the language model is told, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.settings.schema import (
        CorpusSettings,
        ExtractionSettings,
        InterpretationSettings,
        ModelSettings,
    )
    from ghosttrack_cli.workspace import Workspace

Section = TypeVar("Section")


@dataclass(frozen=True)
class StageRequest(Generic[Section]):
    """Model, text, the stage's own `settings`, and where everything lies.

    `cache_dir` has the hub's files, None: where its libraries keep them. `overwrite` makes anew
    what is there already.
    """

    model: ModelSettings
    corpus: CorpusSettings
    settings: Section
    workspace: Workspace
    cache_dir: Path | None = None
    overwrite: bool = False


ExtractionRequest: TypeAlias = "StageRequest[ExtractionSettings]"
InterpretationRequest: TypeAlias = "StageRequest[InterpretationSettings]"
