"""Every reader of the program: files that are valid, and what reads them."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.faults.mutations import as_json, change_bytes, change_document

from ghosttrack_cli import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Reader:
    """Something that reads `file`; `seal` makes a changed document pass its checksum."""

    file: Path
    read: Callable[[], Any]
    seal: Callable[[Any], bytes] | None = None

    def fuzz(self, number: int) -> None:
        """Read the file as case `number` has changed it, then put it back."""
        data = self.file.read_bytes()
        try:
            self.file.write_bytes(self._changed(data, random.Random(number)))
            self.read()
        finally:
            self.file.write_bytes(data)

    def _changed(self, data: bytes, rng: random.Random) -> bytes:
        if self.seal is None or rng.random() < 1 / 4:
            return change_bytes(data, rng)
        document = json.loads(data)
        document.pop("checksum", None) if isinstance(document, dict) else None
        return self.seal(change_document(document, rng))


def unsealed(document: Any) -> bytes:
    """For files that carry no checksum."""
    return as_json(document)


def sealed(document: Any) -> bytes:
    """The seal of small JSON, whatever the document holds now."""
    return files.seal(document)[0] if isinstance(document, dict) and document else as_json(document)
