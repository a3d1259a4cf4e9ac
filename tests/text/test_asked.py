"""A corpus that is known to be another one is told without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli.settings.schema import CorpusSettings
from ghosttrack_cli.text.asked import known_differences
from ghosttrack_cli.text.corpus import open_corpus

if TYPE_CHECKING:
    from pathlib import Path

WIKIPEDIA = {
    "kind": "hub",
    "repository": "wikimedia/wikipedia",
    "config": "20231101.en",
    "split": "train",
    "commit": "a" * 40,
    "files": 41,
    "sha256": "b" * 64,
    "column": "text",
    "min_characters": 100,
}


def differing(recorded: dict[str, Any], **settings: Any) -> set[str]:
    return set(known_differences(CorpusSettings(**settings), recorded))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, set()),
        ({"revision": "main"}, set()),
        ({"revision": "a" * 40}, set()),
        ({"revision": "c" * 40}, {"corpus.commit"}),
        ({"language": "de"}, {"corpus.config"}),
        ({"split": "test", "column": "title"}, {"corpus.split", "corpus.column"}),
        ({"source": "wikimedia/wikipedia", "config": "20231101.en"}, set()),
        ({"source": "owner/other", "config": "20231101.en"}, {"corpus.repository"}),
        ({"source": "python-docs"}, {"corpus.kind", "corpus.name"}),
    ],
)
def test_a_data_set_on_the_hub_by_its_settings(settings: dict[str, Any], names: set[str]) -> None:
    assert differing(WIKIPEDIA, **settings) == names


def test_local_text_by_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("text " * 40)
    settings = {"source": str(tmp_path / "x.txt")}
    recorded = {**open_corpus(CorpusSettings(**settings)).identity(), "name": "renamed.txt"}
    assert differing(recorded, **settings) == set()
    assert differing(recorded, **settings, min_characters=1) == {"corpus.min_characters"}
    assert differing(recorded) == {"corpus.kind", "corpus.name"}
    (tmp_path / "x.txt").write_text("TEXT " * 40)
    assert differing(recorded, **settings) == {"corpus.sha256"}
