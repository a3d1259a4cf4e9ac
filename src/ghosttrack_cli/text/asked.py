"""Whether the settings ask for the corpus that a store was made from, told without a network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ghosttrack_cli.differences import differing
from ghosttrack_cli.text.corpus import is_hub, open_corpus
from ghosttrack_cli.text.hub import WIKIPEDIA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.differences import Fields
    from ghosttrack_cli.settings.schema import CorpusSettings
    from ghosttrack_cli.text.documents import JSON

COMMIT = re.compile(r"[0-9a-f]{40}")


def known_differences(settings: CorpusSettings, recorded: Mapping[str, JSON]) -> Fields:
    """Each field of a corpus' identity in which the two differ: (recorded, asked).

    Of a data set on the hub, its name and the settings are compared, not its files; of local text
    everything is.

    Raises:
        CorpusError: no such file or folder.
    """
    asked = _hub_fields(settings) if is_hub(settings) else open_corpus(settings).identity()
    if asked["kind"] != recorded.get("kind"):
        asked = {"kind": asked["kind"], "name": asked.get("repository", settings.source)}
    return differing({name: recorded.get(name) for name in asked}, asked, "corpus.")


def _hub_fields(settings: CorpusSettings) -> dict[str, JSON]:
    wikipedia = settings.source == "wikipedia"
    fields = {
        "kind": "hub",
        "repository": WIKIPEDIA if wikipedia else settings.source,
        "config": f"{settings.date}.{settings.language}" if wikipedia else settings.config,
        "split": settings.split,
        "column": settings.column,
        "min_characters": settings.min_characters,
    }
    if settings.revision and COMMIT.fullmatch(settings.revision):
        fields["commit"] = settings.revision
    return fields
