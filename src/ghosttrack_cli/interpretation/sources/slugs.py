"""Names of sources of rows: each names the folder of its reports, which lie side by side."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ghosttrack_cli.interpretation.collect.row_batch import JSON
    from ghosttrack_cli.settings.schema import InterpretationSettings

LONGEST, HASH = 60, 8


def plain_name(text: str) -> str:
    """Letters and digits of `text`, lower case, anything else as one hyphen.

    >>> plain_name("My notes (2).txt"), plain_name("日本")
    ('my-notes-2-txt', 'x')
    """
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")[:LONGEST].strip("-") or "x"


def hashed(name: str, identity: JSON) -> str:
    """`name` and a short hash of what it stands for, so that a name used twice makes two."""
    text = json.dumps(identity, sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:HASH]}"


def limited(slug: str, settings: InterpretationSettings) -> str:
    """The slug of a part of a source: what a limit leaves does not stand for the whole.

    >>> from ghosttrack_cli.settings.schema import InterpretationSettings
    >>> limited("store", InterpretationSettings(max_tokens=5000))
    'store-5000-tokens'
    """
    limits = {"texts": settings.max_texts, "tokens": settings.max_tokens}
    return "-".join([slug, *(f"{limit}-{unit}" for unit, limit in limits.items() if limit)])
