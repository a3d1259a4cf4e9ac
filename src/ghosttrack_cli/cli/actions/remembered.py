"""Which model a workspace's store was made with, so that later commands need not be told again.

The store's own identity holds hashes and the name; a local model's folder is only known here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import GhostTrackError

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.settings import ModelSettings

FILE_NAME = "model.json"
SCHEMA = 1
LIMIT = 2**16


def remember_model(session: Session) -> None:
    """Note the model that the session extracts with."""
    settings = session.settings.model
    folder = Path(settings.name).expanduser()
    name = str(folder.resolve()) if folder.is_dir() else settings.name
    document = {"schema": SCHEMA, "name": name, "revision": settings.revision}
    if _read(session) != document:
        files.write_json(session.workspace.root / FILE_NAME, document)


def model_settings(session: Session) -> ModelSettings:
    """The model settings in force; where nobody gave a model, it is the store's."""
    settings = session.settings.model
    document = _read(session)
    if document is None or session.resolved.is_given("model.name"):
        return settings
    known = {"name": document["name"], "revision": document["revision"]}
    return settings.model_validate(settings.model_dump() | known)


def _read(session: Session) -> dict[str, str | None] | None:
    """The note; None if there is none that can be used."""
    try:
        document = files.read_json(session.workspace.root / FILE_NAME, limit=LIMIT)
    except (FileNotFoundError, GhostTrackError):
        return None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return None
    name, revision = document.get("name"), document.get("revision")
    usable = isinstance(name, str) and name and isinstance(revision, str | None)
    return document if usable else None
