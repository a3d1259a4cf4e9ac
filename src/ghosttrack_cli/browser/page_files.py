"""The files of the page with size and checksum: the list comes last, so it tells a whole page.

interpretations/browser/files.json     by name inside interpretations/; sealed
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.report.facts import FileFacts
from ghosttrack_cli.report.report_files import checked_bytes
from ghosttrack_cli.report.stored import PAGE_LIST, PAGE_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SHELL = "index.html"
NAME = re.compile(r"index\.html|browser/(?:[\w-]+(?:\.\w+)?/)*[\w-]+\.(?:js|css|json)", re.ASCII)
"""A name inside a list that says otherwise would leave the folder."""
_Facts = TypeAdapter(dict[str, FileFacts])


def begin_page(interpretations: Path) -> None:
    """From here on the page is not whole."""
    files.remove(interpretations / PAGE_LIST)


def end_page(interpretations: Path, written: Mapping[str, FileFacts]) -> None:
    """The page is whole: `written` are all of its files."""
    document = {"schema": PAGE_SCHEMA, "files": facts_to_json(written)}
    files.write_sealed(interpretations / PAGE_LIST, document)


def listed_files(interpretations: Path) -> dict[str, FileFacts]:
    """All files of the page, none where it was not written to its end.

    Raises:
        CorruptionError: the list is damaged.
    """
    path = interpretations / PAGE_LIST
    try:
        return facts_from_json(files.read_sealed(path, limit=files.MAX_JSON_BYTES).get("files"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CorruptionError(f"not a list of files: {path}") from error


def facts_to_json(facts: Mapping[str, FileFacts]) -> dict[str, Any]:
    """Facts of files by their names, as JSON."""
    return {name: facts[name].model_dump() for name in sorted(facts)}


def facts_from_json(document: Any) -> dict[str, FileFacts]:
    """The same from JSON.

    Raises:
        ValueError: it holds something else, or a name outside the page.
    """
    facts = _Facts.validate_python(document)
    if strange := [name for name in facts if not NAME.fullmatch(name)]:
        raise ValueError(strange[0])
    return facts


def check_file(interpretations: Path, name: str, facts: FileFacts) -> None:
    """Read one file of the page.

    Raises:
        CorruptionError: it is missing, or has other bytes than were written.
    """
    try:
        checked_bytes(interpretations / name, facts, None)
    except FileNotFoundError as error:
        what = f"missing from the page: {interpretations / name}"
        raise CorruptionError(what) from error


def is_sound(interpretations: Path) -> bool:
    """Whether the page is whole and as it was written; a file that is not is removed."""
    try:
        wrong = list(_wrong_files(interpretations))
    except CorruptionError:
        return False
    for path in wrong:
        files.remove(path)
    return (interpretations / PAGE_LIST).is_file() and not wrong


def _wrong_files(interpretations: Path) -> Iterator[Path]:
    for name, facts in listed_files(interpretations).items():
        try:
            check_file(interpretations, name, facts)
        except CorruptionError:
            yield interpretations / name
