"""Where in a corpus a run is: everything needed to go on, and to notice that the text changed."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from ghosttrack_cli.differences import differing, refuse
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.text.position import is_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.differences import Fields
    from ghosttrack_cli.text.documents import JSON, Document

SCHEMA = 1


@dataclass(frozen=True)
class Cursor:
    """The start of one batch of windows.

    `state` is the corpus stream's before the document in progress, `document` that document's
    id, `offset` how many of its tokens (end-of-text token included) earlier batches took,
    `sha256` the hash of its text where `offset` is not 0, `batch` the number of the batch.
    """

    identity: Mapping[str, JSON]
    state: JSON | None
    document: int
    offset: int
    sha256: str | None
    batch: int

    def to_json(self) -> dict[str, JSON]:
        """The cursor as a JSON object."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, value: JSON) -> Cursor:
        """Read what `to_json` wrote.

        Raises:
            CorruptionError: not such an object.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(value, dict) or value.get("schema") != SCHEMA:
            raise CorruptionError(f"not a cursor of schema {SCHEMA}: {str(value)[:80]}")
        counts = [value.get(name) for name in ("document", "offset", "batch")]
        sound = isinstance(value.get("identity"), dict) and all(map(is_count, counts))
        if set(value) != {"schema", *names} or not (
            sound and isinstance(value["sha256"], str | None)
        ):
            raise CorruptionError(f"not a cursor: {str(value)[:80]}")
        return cls(**{name: value[name] for name in names})

    def check_corpus(self, identity: Mapping[str, JSON]) -> None:
        """Refuse a corpus that is not the one this cursor points into.

        Raises:
            ConflictError: lists the fields that differ.
        """
        refuse_text(differing(self.identity, identity, "corpus."))

    def check_document(self, document: Document | None) -> None:
        """Refuse another document than the one that was in progress.

        Raises:
            ConflictError: names the document.
        """
        if self.sha256 is None:
            return
        found = None if document is None else (document.id, text_hash(document.text))
        if found != (self.document, self.sha256):
            refuse_text({f"document {self.document}": (self.sha256, found and found[1])})


def refuse_text(fields: Fields) -> None:
    """Raise a ConflictError if there are any fields in which a text is not what it was."""
    hint = "restore the same text, or use --overwrite to start over"
    refuse("the corpus changed", fields, hint=hint)


def text_hash(text: str) -> str:
    """The hexadecimal SHA-256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()
