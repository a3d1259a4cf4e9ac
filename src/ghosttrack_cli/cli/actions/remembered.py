"""What a workspace's store was made with, so that later commands need not be told again.

The store's own identity holds hashes and names; which folder a model or a text lies in, and what
was asked for, is only known here. It stands in for defaults: whoever gives a setting is obeyed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import GhostTrackError
from ghosttrack_cli.store.commit import has_store

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.settings import Settings

FILE_NAME = "source.json"
SCHEMA = 1
LIMIT = 2**16
KEYS = {
    "model": ("name", "revision", "dtype"),
    "corpus": (
        "source",
        "language",
        "date",
        "config",
        "split",
        "column",
        "encoding",
        "revision",
        "min_characters",
    ),
    "extraction": ("layers", "tokens", "context_length", "store_dtype", "compress"),
}


def remember_source(session: Session, settings: Settings) -> None:
    """Note the model, the text and the layout that the session's store is made with."""
    chosen = settings.model_dump(mode="json")
    document = {
        section: {key: chosen[section][key] for key in keys} for section, keys in KEYS.items()
    }
    document["model"]["name"] = _lasting(settings.model.name)
    document["corpus"]["source"] = _lasting(settings.corpus.source)
    if _read(session) != document:
        path = files.make_folder(session.workspace.root) / FILE_NAME
        files.write_json(path, {"schema": SCHEMA, **document})


def _lasting(name: str) -> str:
    """A local path from wherever the next command runs; anything else as it is."""
    path = Path(name)
    try:
        return str(path.resolve()) if path.exists() else name
    except OSError:
        return name


def stage_settings(session: Session) -> Settings:
    """The settings in force; what nobody gave is as it was when the store was made."""
    settings = session.settings
    if not has_store(session.workspace.store):
        return settings
    changed = settings.model_dump()
    for section, values in _read(session).items():
        for key, value in values.items():
            if not session.resolved.is_given(f"{section}.{key}"):
                changed[section][key] = value
    try:
        return settings.model_validate(changed)
    except ValueError:
        return settings


def _read(session: Session) -> dict[str, dict[str, Any]]:
    """The note without what it cannot hold; empty if there is none that can be used."""
    try:
        document = files.read_json(session.workspace.root / FILE_NAME, limit=LIMIT)
    except (FileNotFoundError, GhostTrackError):
        return {}
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return {}
    sections = {name: document.get(name) for name in KEYS}
    return {
        name: {key: value for key, value in section.items() if key in KEYS[name]}
        for name, section in sections.items()
        if isinstance(section, dict)
    }
