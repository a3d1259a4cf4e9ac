"""A position that no stream was ever at is refused, field by field; one that it was at goes on."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.interpretation.sources.prompt_sets import ListedTexts
from ghosttrack_cli.text.cursor import Cursor
from ghosttrack_cli.text.local import LocalCorpus
from ghosttrack_cli.text.python_docs import PythonDocsCorpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE: tuple[Any, ...] = (
    None, True, -1, 2**60, 2**200, 0.5, 1e308, "x", "9" * 30, [], [[]], {}, {"a": None}, [0] * 9,
)  # fmt: skip


def changed(document: Any) -> Iterator[tuple[list[Any], Any]]:
    """Every value inside a document replaced by every hostile one, and each left out."""
    for path in paths(document):
        for value in HOSTILE:
            copied = copy.deepcopy(document)
            parent = copied
            for key in path[:-1]:
                parent = parent[key]
            if parent[path[-1]] != value or type(parent[path[-1]]) is not type(value):
                parent[path[-1]] = value
                yield [*path, value], copied


def paths(document: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from paths(value, (*before, key))


@pytest.fixture
def corpus(tmp_path: Path) -> LocalCorpus:
    for name in "ab":
        text = "".join(f'{{"text": "{name} {n} is a text of some length"}}\n' for n in range(5))
        (tmp_path / f"{name}.jsonl").write_text(text)
    return LocalCorpus(tmp_path, min_characters=5)


def test_files(corpus: LocalCorpus) -> None:
    stream = corpus.documents()
    for _ in range(6):
        next(stream)
    state = stream.state()
    left = list(stream)
    assert list(corpus.documents(state)) == left
    seen = 0
    for path, value in changed(state):
        if path[-1] in (None, 2**60) and path[0] in {"sha256", "place", "document", "short"}:
            continue  # a number that no reader can know to be wrong
        with pytest.raises(CorruptionError, match="not a valid position in a folder"):
            list(corpus.documents(value))
        seen += 1
    assert seen > 60
    nothings: tuple[Any, ...] = (0, "", [], {}, {"file": 0})
    for nothing in nothings:
        with pytest.raises(CorruptionError):
            list(corpus.documents(nothing))


def test_the_docs_of_python(corpus: LocalCorpus) -> None:
    docs = PythonDocsCorpus(min_characters=50)
    stream = docs.documents()
    for _ in range(9):
        next(stream)
    state = stream.state()
    after = [next(stream) for _ in range(3)]
    resumed = docs.documents(state)
    assert [next(resumed) for _ in range(3)] == after
    refused = 0
    for _, value in changed(state):
        try:
            next(docs.documents(value))
        except CorruptionError:
            refused += 1
        except StopIteration:
            continue
    assert refused > 200


@pytest.mark.parametrize("state", [-1, 3, True, "1", 2**70, 0.0, [], {}])
def test_listed_texts(state: Any) -> None:
    with pytest.raises(CorruptionError):
        list(ListedTexts(["a", "b"]).groups(state))


def test_a_cursor() -> None:
    cursor = Cursor({"kind": "files"}, {"file": 0}, 3, 7, "0" * 64, 2).to_json()
    assert Cursor.from_json(cursor).to_json() == cursor
    for path, value in changed(cursor):
        free = path[0] == "state" or (path[0] == "identity" and len(path) > 2)
        if free or (path[0] == "sha256" and (path[-1] is None or isinstance(path[-1], str))):
            continue
        if path[-1] is True and path[0] == "schema":  # which equals 1
            continue
        if path[0] == "identity" and isinstance(path[-1], dict):
            continue
        with pytest.raises(CorruptionError):
            Cursor.from_json(value)
