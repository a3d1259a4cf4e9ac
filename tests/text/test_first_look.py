"""What is wrong with local text is found before a run: of large text, at every beginning."""

from __future__ import annotations

import codecs
import gzip
import json
import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.text import first_look
from ghosttrack_cli.text.first_look import FirstLook
from ghosttrack_cli.text.local import LocalCorpus
from ghosttrack_cli.text.usable_texts import LeftOut

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = json.dumps({"text": "good " * 30}).encode() + b"\n"


def write_parquet(path: Path, values: list[Any], column: str = "text", kind: Any = None) -> None:
    parquet.write_table(pa.table({column: pa.array(values, kind)}), path)


def damaged_parquet(path: Path) -> None:
    write_parquet(path, ["text " * 40])
    path.write_bytes(path.read_bytes()[:-20])


def write(name: str, data: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return make


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "latin-1 text": (write("m.txt", "größer ".encode("latin-1") * 30), r"m\.txt, byte 2:"),
    "latin-1 lines": (write("m.jsonl", b'{"text": "caf\xe9"}\n'), r"m\.jsonl, byte 13:"),
    "a zip": (write("m.txt", b"PK\x03\x04 and so on"), "a zip archive: .*m.txt"),
    "no gzip": (write("m.txt.gz", b"plain text, no gzip"), "cannot be decompressed: .*m.txt.gz"),
    "no zst": (write("m.jsonl.zst", GOOD), "cannot be decompressed: .*m.jsonl.zst"),
    "no column": (write("m.csv", b"a,b\n1,2\n"), "no column 'text': .*m.csv"),
    "no key": (write("m.jsonl", b'{"body": "x"}\n'), "no column 'text': .*m.jsonl, line 1"),
    "no json": (write("m.ndjson", b"plain text\n"), "not JSON: .*m.ndjson, line 1"),
    "cut lines": (write("m.jsonl", GOOD * 3 + GOOD[:50]), "line 4: .*in the middle of its last"),
    "cut, marked": (
        write("m.jsonl", codecs.BOM_UTF8 + GOOD * 3 + GOOD[:50]),
        "line 4: .*in the middle of its last",
    ),
    "no parquet": (write("m.parquet", b"PAR1 cut"), "not a readable Parquet file: .*m.parquet"),
    "cut parquet": (lambda folder: damaged_parquet(folder / "m.parquet"), "not a readable Parquet"),
    "parquet column": (
        lambda folder: write_parquet(folder / "m.parquet", ["x"], "body"),
        "no column 'text': .*m.parquet has 'body'",
    ),
    "parquet numbers": (
        lambda folder: write_parquet(folder / "m.parquet", [1, 2]),
        "'text' holds int64, no text: .*m.parquet",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good file before the name m, and one after it."""
    (tmp_path / "a.jsonl").write_bytes(GOOD * 20)
    (tmp_path / "z.jsonl").write_bytes(GOOD)
    return tmp_path


@pytest.mark.parametrize("characters", [0, 10**6])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_among_good_ones_is_found(
    folder: Path, name: str, characters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_look, "WHOLE_CHARACTERS", characters)
    make, words = BAD[name]
    make(folder)
    with pytest.raises(CorpusError, match=words):
        LocalCorpus(folder).check()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_is_found(folder: Path) -> None:
    (folder / "m.txt").write_bytes(b"secret")
    (folder / "m.txt").chmod(0)
    with pytest.raises(CorpusError, match=r"cannot read the text: .*m\.txt: Permission denied"):
        LocalCorpus(folder).check()


def test_a_file_that_has_gone_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_look, "WHOLE_CHARACTERS", 0)
    corpus = LocalCorpus(folder)
    assert corpus.identity()["files"] == 2
    (folder / "z.jsonl").unlink()
    with pytest.raises(CorpusError, match=r"cannot read the text: .*z\.jsonl: No such file"):
        corpus.check()


@pytest.mark.parametrize("characters", [0, 10**6])
def test_kinds_of_text_that_are_read_are_not_refused(
    folder: Path, characters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_look, "WHOLE_CHARACTERS", characters)
    for number, kind in enumerate(
        (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()))
    ):
        write_parquet(folder / f"m{number}.parquet", ["text " * 40, None], kind=kind)
    write_parquet(folder / "nulls.parquet", [None, None], kind=pa.null())
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "header.csv").write_bytes(b"text\n")
    (folder / "cut.jsonl").write_bytes(GOOD[:-1])
    (folder / "wide.jsonl").write_bytes(("\ufeff" + '{"text": "ਊਊ"}\n' * 3).encode("utf-16")[:-2])
    (folder / "lines.jsonl.gz").write_bytes(gzip.compress(GOOD))
    seen = LocalCorpus(folder, min_characters=1).check()
    assert seen.whole == (characters > 0)
    assert seen.documents == (1 if not characters else 20 + 1 + 4 + 1 + 3 + 1)


def test_small_text_is_counted_as_the_run_counts_it(folder: Path) -> None:
    (folder / "b.txt").write_text("short")
    (folder / "c.txt").write_text("")
    (folder / "d.md").write_text("no text")
    corpus = LocalCorpus(folder)
    seen = corpus.check()
    assert seen == FirstLook(
        documents=21,
        left_out=LeftOut(short=1, empty_files=1),
        whole=True,
        skipped_files={"files_in_other_formats": 1},
    )
    stream = corpus.documents()
    assert sum(1 for _ in stream) == seen.documents
    assert LeftOut.of(stream.state()) == seen.left_out


def test_of_large_text_the_rest_is_left_to_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_look, "WHOLE_CHARACTERS", 1000)
    (folder / "m.jsonl").write_bytes(GOOD + b'{"text": 7}\n' + GOOD)
    seen = LocalCorpus(folder).check()
    assert (seen.documents, seen.whole) == (7, False)
    assert seen.in_words() == "at least 7 documents"
