"""Corpora in memory and on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli.text.documents import Document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class ListStream:
    def __init__(self, texts: list[str], place: int, fail: Callable[[int], None]) -> None:
        self.texts, self.place, self.fail = texts, place, fail

    def __iter__(self) -> ListStream:
        return self

    def __next__(self) -> Document:
        self.fail(self.place)
        if self.place >= len(self.texts):
            raise StopIteration
        self.place += 1
        return Document(self.place - 1, self.texts[self.place - 1])

    def state(self) -> Any:
        return {"place": self.place}


def _never(_: int) -> None:
    return


@dataclass
class ListCorpus:
    """A corpus of a list; `fail` is called with the place before each document."""

    texts: list[str]
    fail: Callable[[int], None] = _never
    name: str = "list"
    min_characters: int = 0

    def notices(self) -> list[str]:
        return []

    def skipped_files(self) -> dict[str, int]:
        return {}

    def check(self) -> None:
        return

    def identity(self) -> dict[str, Any]:
        return {"kind": self.name}

    def documents(self, state: Any = None) -> ListStream:
        return ListStream(self.texts, 0 if state is None else state["place"], self.fail)


@pytest.fixture(scope="session")
def list_corpus() -> type[ListCorpus]:
    return ListCorpus


@pytest.fixture
def write_corpus(tmp_path: Path) -> Callable[[str, list[str]], Path]:
    """`write_corpus(kind, texts)`: the texts as a file or folder of that kind."""

    def write(kind: str, texts: list[str]) -> Path:
        return WRITERS[kind](tmp_path / "corpus", texts)

    return write


def _write_txt(path: Path, texts: list[str]) -> Path:
    for number, text in enumerate(texts):
        file = path / f"part {number // 10}" / f"{number:04}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    return path


def _write_jsonl(path: Path, texts: list[str]) -> Path:
    path = path.with_suffix(".jsonl")
    path.write_text("".join(json.dumps({"text": text, "n": 1}) + "\n" for text in texts))
    return path


def _write_parquet(path: Path, texts: list[str]) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    path = path.with_suffix(".parquet")
    table = pa.table({"id": list(range(len(texts))), "text": pa.array(texts, pa.string())})
    parquet.write_table(table, path, row_group_size=7)
    return path


def _write_csv(path: Path, texts: list[str]) -> Path:
    import csv

    path = path.with_suffix(".csv")
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "other"])
        writer.writerows([text, "x"] for text in texts)
    return path


def _write_mixed(path: Path, texts: list[str]) -> Path:
    path.mkdir()
    third = len(texts) // 3
    _write_jsonl(path / "b", texts[:third])
    _write_parquet(path / "c", texts[third : 2 * third])
    _write_txt(path / "d", texts[2 * third :])
    return path


WRITERS: dict[str, Callable[[Path, list[str]], Path]] = {
    "txt": _write_txt,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
    "csv": _write_csv,
    "mixed": _write_mixed,
}
