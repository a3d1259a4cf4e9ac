# ruff: noqa: RUF001 - letters of many scripts
"""Text as it is in the file, in whatever encoding, compression and format; else refused."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import random
import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ghosttrack_cli.errors import CorpusError, UsageError
from ghosttrack_cli.settings.resolve import load_settings
from ghosttrack_cli.settings.schema import CorpusSettings
from ghosttrack_cli.text.encodings import detect_encoding
from ghosttrack_cli.text.local import LocalCorpus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNICODE = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
LEGACY = {
    "cp1252": "naïve façade, “déjà vu” – ça coûte 5 €\n",
    "latin-1": "Größe und Äpfel über Öl\n",
    "cp1251": "Съешь ещё этих мягких булок\n",
    "shift_jis": "日本語の文章をシフトジスで書く。\n",
    "gb18030": "中文文本，用国标编码。\n",
    "euc_kr": "한국어 글을 완성형으로 씁니다.\n",
    "big5": "繁體中文的文字。\n",
}
SCRIPTS = (
    "Plain English, two lines.\nAnd 7 * 6 = 42.\n",
    "Größe, naïve, œuvre, Łódź, Việt Nam\n",
    "Быстрая лиса прыгает\nчерез ленивую собаку\n",
    "الثعلب البني السريع\n",
    "עברית עם רווחים\n",
    "तेज़ भूरी लोमड़ी\n",
    "ภาษาไทยไม่มีเว้นวรรค\n",
    "一一日本語の文章　全角の空白。\nカタカナとひらがな\n",
    "中文没有空格，一个字一个字地写。\n第二行。\n",
    "한국어 문장입니다\n",
    "emoji 😀🦊 and 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 👩‍👩‍👧\n",
    "\u2028 separators \u2029 and \x85 next lines\n",
)


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue().to_pybytes())


PACKERS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd}


def as_txt(texts: list[str]) -> str:
    return texts[0]


def as_jsonl(texts: list[str]) -> str:
    return "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)


def as_csv(texts: list[str]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows([["n", "text"], *(["1", text] for text in texts)])
    return file.getvalue()


FORMATS = {".txt": as_txt, ".jsonl": as_jsonl, ".csv": as_csv}


def texts_of(path: Path, encoding: str | None = None) -> list[str]:
    corpus = LocalCorpus(path, encoding=encoding, min_characters=1)
    return [document.text for document in corpus.documents()]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("encoding", UNICODE)
@pytest.mark.parametrize("script", SCRIPTS)
def test_unicode_is_told_apart_for_every_script(script: str, encoding: str, marked: bool) -> None:
    for text in (script, script * 40):
        data = ("\ufeff" * marked + text).encode(encoding)
        assert detect_encoding(data) == encoding


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("encoding", UNICODE)
def test_every_encoding_in_every_format_and_compression(
    tmp_path: Path, encoding: str, kind: str, packing: str, marked: bool
) -> None:
    texts = ["".join(SCRIPTS), "second\r\ntext", 'with "quotes", \ufeff and \0']
    path = tmp_path / f"x{kind}{packing}"
    written = "\ufeff" * marked + FORMATS[kind](texts)
    path.write_bytes(PACKERS[packing](written.encode(encoding)))
    assert texts_of(path) == (texts[:1] if kind == ".txt" else texts)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
        min_size=1,
        max_size=4,
    ),
    encoding=st.sampled_from(UNICODE),
    packing=st.sampled_from(sorted(PACKERS)),
    kind=st.sampled_from(sorted(FORMATS)),
    split=st.integers(0, 10),
)
@example(texts=["\ufeff\ufeff", "\0"], encoding="utf-16-be", packing=".gz", kind=".csv", split=1)
def test_any_marked_text_comes_back_and_goes_on_from_any_place(
    tmp_path: Path, texts: list[str], encoding: str, packing: str, kind: str, split: int
) -> None:
    texts = [f"{text}." for text in texts]
    path = tmp_path / f"x{kind}{packing}"
    data = ("\ufeff" + FORMATS[kind](texts)).encode(encoding)
    members = [PACKERS[packing](part) for part in (data[:split], data[split:])]
    path.write_bytes(b"".join(members))
    corpus = LocalCorpus(path, min_characters=1)
    expected = texts[:1] if kind == ".txt" else texts
    stream = corpus.documents()
    for taken in range(len(expected)):
        assert next(stream).text == expected[taken]
        rest = corpus.documents(json.loads(json.dumps(stream.state())))
        assert [document.text for document in rest] == expected[taken + 1 :]


@pytest.mark.parametrize("encoding", LEGACY)
@pytest.mark.parametrize("kind", FORMATS)
def test_other_encodings_are_refused_or_named(tmp_path: Path, encoding: str, kind: str) -> None:
    text = LEGACY[encoding] * 30
    path = tmp_path / f"x{kind}"
    path.write_bytes(FORMATS[kind]([text]).encode(encoding))
    with pytest.raises(CorpusError, match=r"not UTF-8, UTF-16 or UTF-32: .*byte \d+") as caught:
        texts_of(path)
    assert "--encoding cp1252" in str(caught.value.hint)
    assert texts_of(path, encoding) == [text]


def test_the_first_bad_byte_is_named_wherever_it_lies(tmp_path: Path) -> None:
    for place in (0, 7, 65_535, 65_536, 200_000):
        data = b"a" * place + "é".encode("latin-1") + b" and so on"
        for packing, pack in PACKERS.items():
            path = tmp_path / f"x.txt{packing}"
            path.write_bytes(pack(data))
            with pytest.raises(CorpusError, match=rf"x\.txt{packing}, byte {place:,}\D"):
                texts_of(path)
    (tmp_path / "x.txt").write_bytes("﻿ab".encode("utf-16-le") + b"\x00\xd8a\x00")
    with pytest.raises(CorpusError, match=r"not UTF-16: .*byte 6"):
        texts_of(tmp_path / "x.txt")


def test_a_bad_byte_far_in_a_file_is_named_after_resuming(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    good = json.dumps({"text": "good"}).encode() + b"\n"
    path.write_bytes(codecs.BOM_UTF8 + good * 3 + b'{"text": "\xe9"}\n')
    corpus = LocalCorpus(path, min_characters=1)
    stream = corpus.documents()
    assert [next(stream).text for _ in range(2)] == ["good", "good"]
    rest = corpus.documents(stream.state())
    with pytest.raises(CorpusError, match=f"byte {3 + 3 * len(good) + 10}:"):
        list(rest)


def test_a_mark_is_believed_over_the_encoding_that_was_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffé".encode("utf-16-be"))
    (tmp_path / "b.txt").write_bytes("é".encode("cp1252"))
    assert texts_of(tmp_path, "cp1252") == ["é", "é"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"nul \x00 stays", "nul \x00 stays"),
        (b"nul \x00 stay", "nul \x00 stay"),
        (b"\x00 first", "\x00 first"),
        (codecs.BOM_UTF16_LE + b"\0\0a\0b\0", "\0ab"),
        (b"cr\rlf\r\nlf\n", "cr\rlf\r\nlf\n"),
        ("a\ufeffb".encode(), "a\ufeffb"),
        ("\ufeff\ufeffb".encode(), "\ufeffb"),
        ("kept \ufffd as it is".encode(), "kept \ufffd as it is"),
    ],
)
def test_odd_bytes_stay_what_they_are(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    assert texts_of(tmp_path / "x.txt") == [text]


@pytest.mark.parametrize(
    "data",
    [
        b"caf\xe9 \0 with a NUL in Latin-1, and quite some more text",
        bytes(range(256)) * 20,
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\x01\0\x08\x06\0\0\0" * 20,
        b"wtf-8 \xed\xa0\x80 surrogate",
        b"cut \xe2\x82",
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    with pytest.raises(CorpusError, match=r"x\.txt, byte \d"):
        texts_of(tmp_path / "x.txt")


@pytest.mark.parametrize(
    ("data", "kind", "hint"),
    [
        (gzip.compress(b"text", mtime=0), "gzip", r"\.gz"),
        (zstd(b"text"), "Zstandard", r"\.zst"),
        (b"PK\x03\x04rest", "zip", "unzip"),
        (b"%PDF-1.7 rest", "PDF", "pdftotext"),
        (b"PAR1rest", "Parquet", r"\.parquet"),
    ],
)
def test_other_kinds_of_files_are_told_by_what_they_are(
    tmp_path: Path, data: bytes, kind: str, hint: str
) -> None:
    (tmp_path / "x.txt").write_bytes(data)
    with pytest.raises(CorpusError, match=f"not text but .*{kind}") as caught:
        texts_of(tmp_path / "x.txt")
    assert re.search(hint, str(caught.value.hint))


@pytest.mark.parametrize("packing", [".gz", ".zst"])
@pytest.mark.parametrize("lost", [1, 20, 400])
def test_a_cut_or_damaged_archive_is_named(tmp_path: Path, packing: str, lost: int) -> None:
    text = random.Random(0).randbytes(3000).hex()
    whole = PACKERS[packing](text.encode())
    path = tmp_path / f"x.txt{packing}"
    for data in (whole[:-lost], whole + b"garbage", whole + whole[:-lost], b"no archive at all"):
        path.write_bytes(data)
        with pytest.raises(CorpusError, match=rf"cannot be decompressed: .*x\.txt{packing}"):
            texts_of(path)


def test_parts_of_an_archive_are_read_one_after_the_other(tmp_path: Path) -> None:
    for packing, pack in PACKERS.items():
        path = tmp_path / f"x.jsonl{packing}"
        path.write_bytes(b"".join(pack(as_jsonl([f"{n}"]).encode()) for n in range(5)))
        assert texts_of(path) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("name", ["no-such", "base64", "rot13", "", "undefined"])
def test_an_encoding_that_is_none_is_refused_as_a_setting(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="is not valid"):
        load_settings(overrides={"corpus.encoding": name})


def test_an_encoding_has_one_name() -> None:
    names = {CorpusSettings(encoding=name).encoding for name in ("Latin-1", "l1", "ISO-8859-1")}
    assert names == {"iso8859-1"}
