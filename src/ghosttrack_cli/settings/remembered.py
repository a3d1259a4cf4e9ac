"""What a workspace remembers: the settings that each of its stages was told and accepted.

`settings/extract.json`, `train.json` and `interpret.json`, one file a stage, so that stages that
run side by side do not write the same one. A later command in the workspace need not be told
again; whoever gives a setting is obeyed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ghosttrack_cli import files
from ghosttrack_cli.errors import GhostTrackError

if TYPE_CHECKING:
    from collections.abc import Mapping

Stage = Literal["extract", "train", "interpret"]
FOLDER = "settings"
SCHEMA = 1
LIMIT = 2**16
MODEL_KEYS = ("name", "revision", "dtype")
CORPUS_KEYS = (
    "source", "language", "date", "config", "split", "column", "encoding", "revision",
    "min_characters",
)  # fmt: skip
EXTRACTION_KEYS = ("layers", "hook", "tokens", "context_length", "store_dtype", "compress")
ALWAYS = {
    "extract": frozenset(
        {
            *(f"model.{key}" for key in MODEL_KEYS),
            *(f"corpus.{key}" for key in CORPUS_KEYS),
            *(f"extraction.{key}" for key in EXTRACTION_KEYS),
        }
    )
}
"""Kept whether they were given or are defaults: a store is of one model and one text."""
WHEN_GIVEN = {
    "train": ("preset", "sae.", "sae_training."),
    "interpret": ("interpretation.",),
}
"""Kept where somebody gave them, so that a default that becomes better is used."""
PASSING = frozenset(
    {
        "sae_training.device",
        "sae_training.layers_at_once",
        "interpretation.texts",
        "interpretation.max_texts",
        "interpretation.max_tokens",
    }
)
"""What one run is told: where it runs, and what it reads."""
PATHS = frozenset({"model.name", "corpus.source"})


def is_kept(stage: Stage, key: str, *, given: bool) -> bool:
    """Whether `stage` remembers the setting `key`."""
    if key in PASSING:
        return False
    if key in ALWAYS.get(stage, frozenset()):
        return True
    return given and key.startswith(WHEN_GIVEN.get(stage, ()) or ("-",))


def remember(root: Path, stage: Stage, values: Mapping[str, Any]) -> None:
    """Keep dotted keys and JSON values for `stage`; nothing is written if they are kept already."""
    kept = {key: lasting(value) if key in PATHS else value for key, value in values.items()}
    found, problem = _read(root, stage)
    if kept and (problem is not None or found != kept):
        path = files.make_folder(root / FOLDER) / f"{stage}.json"
        files.write_sealed(path, {"schema": SCHEMA, "settings": kept})


def lasting(name: str) -> str:
    """A local path from wherever the next command runs; anything else as it is."""
    path = Path(name).expanduser()
    try:
        return str(path.resolve()) if path.exists() else name
    except OSError:
        return name


def is_remembered(root: Path, stage: Stage) -> bool:
    """Whether anything is kept for `stage` that can be read."""
    found, problem = _read(root, stage)
    return bool(found) and problem is None


def recall(root: Path) -> tuple[dict[str, tuple[Stage, Any]], list[str]]:
    """Every remembered setting with the stage that was told, and what could not be read."""
    known: dict[str, tuple[Stage, Any]] = {}
    problems: list[str] = []
    stages: tuple[Stage, ...] = ("extract", "train", "interpret")
    for stage in stages:
        found, problem = _read(root, stage)
        known |= {key: (stage, value) for key, value in found.items()}
        problems += [problem] if problem else []
    return known, problems


def _read(root: Path, stage: Stage) -> tuple[dict[str, Any], str | None]:
    path = root / FOLDER / f"{stage}.json"
    try:
        document = files.read_sealed(path, limit=LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return {}, None
    except GhostTrackError as error:
        return {}, f"{error.what}; the settings of the last {stage} are unknown"
    settings = document.get("settings")
    if document.get("schema") != SCHEMA or not isinstance(settings, dict):
        return {}, f"not settings of this version: {path}"
    return {
        key: value
        for key, value in settings.items()
        if is_kept(stage, key, given=True) and not isinstance(value, dict | list)
    }, None
