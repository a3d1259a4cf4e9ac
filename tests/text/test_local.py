from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.settings.schema import CorpusSettings
from ghosttrack_cli.text.corpus import open_corpus
from ghosttrack_cli.text.local import LocalCorpus

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ["txt", "jsonl", "parquet", "csv", "mixed"]
TEXTS = [f"Text {number} " + "word " * (number % 30) for number in range(90)]


def texts_of(corpus: LocalCorpus) -> list[str]:
    return [document.text for document in corpus.documents()]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_its_texts_in_order_and_numbers_them(
    kind: str, write_corpus: Callable[[str, list[str]], Path]
) -> None:
    corpus = LocalCorpus(write_corpus(kind, TEXTS), min_characters=20)
    documents = list(corpus.documents())
    assert [document.text for document in documents] == [t for t in TEXTS if len(t) >= 20]
    assert [document.id for document in documents] == list(range(len(documents)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_stopped_at_any_document_goes_on_with_the_next(
    kind: str, write_corpus: Callable[[str, list[str]], Path]
) -> None:
    corpus = LocalCorpus(write_corpus(kind, TEXTS), min_characters=20)
    whole = list(corpus.documents())
    stream = corpus.documents()
    for taken in range(len(whole) + 1):
        state = json.loads(json.dumps(stream.state()))
        assert list(corpus.documents(state)) == whole[taken:]
        next(stream, None)


def test_identity_survives_a_move_and_notices_what_changes_the_documents(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "x.txt").write_text("one")
    first = LocalCorpus(folder).identity()
    folder = folder.rename(tmp_path / "b")
    assert LocalCorpus(folder).identity() == first
    assert LocalCorpus(folder, min_characters=1).identity() != first
    assert LocalCorpus(folder, column="body").identity() != first
    (folder / "x.txt").write_text("two")
    assert LocalCorpus(folder).identity() != first
    (folder / "x.txt").write_text("one")
    (folder / "y.jsonl").write_text("")
    assert LocalCorpus(folder).identity() != first


def test_identity_sees_the_end_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"a" * 300_000)
    first = LocalCorpus(path).identity()
    path.write_bytes(b"a" * 299_999 + b"b")
    assert LocalCorpus(path).identity() != first


def test_a_folder_is_read_in_the_order_of_names_without_hidden_and_other_files(
    tmp_path: Path,
) -> None:
    names = ["b/2.txt", "b/10.TXT", "a.txt", "a/z.txt", "c.md", ".hidden.txt", ".git/x.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert texts_of(LocalCorpus(tmp_path, min_characters=1)) == [
        "a.txt",
        "a/z.txt",
        "b/10.TXT",
        "b/2.txt",
    ]


def test_hostile_file_names_are_read(tmp_path: Path) -> None:
    names = [b"\xff\xfe.txt", b"line\nbreak.txt", b"[red].txt", b"-rf.txt", "שלום.txt".encode()]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    corpus = LocalCorpus(tmp_path, min_characters=1)
    assert len(texts_of(corpus)) == len(names)
    assert corpus.identity()["files"] == len(names)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfplain", "plain"),
        ("wide é".encode("utf-16"), "wide é"),
        (b"nul \x00 stays", "nul \x00 stays"),
    ],
)
def test_bytes_of_a_text_file_become_text(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    assert texts_of(LocalCorpus(tmp_path / "x.txt", min_characters=1)) == [text]


def test_jsonl_takes_marks_blank_lines_null_lone_surrogates_and_long_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    long = "long line " * 1_000_000
    lines = [
        '\ufeff{"text": "first"}',
        "",
        '{"text": null}',
        '{"text": "lone \\ud800 surrogate"}',
        '{"text": "pair \\ud83d\\ude00"}',
        json.dumps({"text": long}),
        '{"text": "no line end"}',
    ]
    path.write_text("\r\n".join(lines), encoding="utf-8")
    found = texts_of(LocalCorpus(path, min_characters=1))
    assert found == ["first", "lone � surrogate", "pair 😀", long, "no line end"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{not json", "not JSON"),
        ('["text"]', "not a JSON object"),
        ('{"body": "x", "title": "y"}', "has 'body', 'title'"),
        ('{"text": 7}', "int, no text"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "fine"}\n\n' + line + "\n")
    with pytest.raises(CorpusError, match="line 3") as caught:
        texts_of(LocalCorpus(path, min_characters=1))
    assert words in caught.value.what


def test_a_missing_column_lists_those_that_exist(
    write_corpus: Callable[[str, list[str]], Path],
) -> None:
    for kind in ("parquet", "csv"):
        path = write_corpus(kind, TEXTS)
        with pytest.raises(CorpusError, match=r"no column 'body'.*'text'"):
            texts_of(LocalCorpus(path, column="body"))


@pytest.mark.parametrize("name", ["x.parquet", "x.csv", "x.jsonl"])
def test_bytes_that_are_not_the_format_are_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(256)) * 100)
    with pytest.raises(CorpusError, match=name):
        texts_of(LocalCorpus(tmp_path / name))


@pytest.mark.parametrize(
    ("texts", "words"),
    [([], "no text in the corpus"), (["  \n ", "", "short"], "all 3 texts are blank or shorter")],
)
def test_a_corpus_without_usable_text_is_an_error(
    texts: list[str], words: str, write_corpus: Callable[[str, list[str]], Path]
) -> None:
    path = write_corpus("jsonl", texts)
    with pytest.raises(CorpusError, match=words):
        texts_of(LocalCorpus(path))


def test_a_blank_text_is_skipped_whatever_its_length(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" \n" * 500)
    (tmp_path / "b.txt").write_text("b" * 100)
    assert texts_of(LocalCorpus(tmp_path)) == ["b" * 100]


@pytest.mark.parametrize(
    "source",
    ["nothing/here/at/all", "missing.jsonl", "../../x", "a\nb", "x" * 300, "/", "no-owner"],
)
def test_a_source_that_is_nothing_is_refused(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError):
        open_corpus(CorpusSettings(source=source if source != "/" else str(tmp_path)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(texts=st.lists(st.text(st.characters(exclude_categories=[])), min_size=1, max_size=8))
@example(texts=["<|endoftext|>", "\ud800", "\0", "\r\n\u2028\x85"])
def test_any_json_text_comes_back_as_text_that_can_be_encoded(
    texts: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, "kept"]))
    expected = [
        "".join("�" if "\ud800" <= character <= "\udfff" else character for character in text)
        for text in json.loads(json.dumps([*texts, "kept"]))
        if text and not text.isspace()
    ]
    found = texts_of(LocalCorpus(path, min_characters=0))
    assert found == expected
    assert all(text.encode() for text in found)
