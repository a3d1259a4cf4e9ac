"""Which files of a folder are read, what is said of the others, and whether they changed."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING

import pytest

from ghosttrack_cli.errors import ConflictError, CorpusError
from ghosttrack_cli.text import fingerprint
from ghosttrack_cli.text.local import LocalCorpus
from ghosttrack_cli.text.usable_texts import LeftOut

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def texts_of(path: Path, column: str = "text") -> list[str]:
    corpus = LocalCorpus(path, column=column, min_characters=1)
    return [document.text for document in corpus.documents()]


def lines_of(*texts: str) -> str:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


def left_out(corpus: LocalCorpus) -> LeftOut:
    stream = corpus.documents()
    list(stream)
    return LeftOut.of(stream.state())


def test_what_is_not_read_is_said(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "a", "b.md": "b", "c.md": "c", "d": "d", ".e.txt": "e", ".f/g": "g"})
    (tmp_path / "gone.txt").symlink_to("nowhere.txt")
    (tmp_path / "again.txt").symlink_to("a.txt")
    assert LocalCorpus(tmp_path).notices() == [
        "skipped: 3 files in other formats (.md, no ending)",
        "skipped: 2 hidden files (names that start with a dot)",
        "skipped: 1 duplicate link",
        "skipped: 1 broken link",
    ]
    assert texts_of(tmp_path) == ["a"]


def test_links_are_followed_once_and_in_an_order_of_their_own(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"x.txt": "x", "deep/y.txt": "y"})
    corpus = write(tmp_path / "corpus", {"b/1.txt": "1", "c.txt": "c"})
    (corpus / "a").symlink_to(outside)
    (corpus / "z").symlink_to(outside / "deep")
    (outside / "deep" / "back").symlink_to(corpus)
    (corpus / "b" / "self").symlink_to(corpus / "b")
    (corpus / "0.txt").symlink_to(outside / "x.txt")
    found = LocalCorpus(corpus)
    assert [name.as_posix() for name in found.names] == [
        "0.txt",
        "a/deep/y.txt",
        "b/1.txt",
        "c.txt",
    ]
    assert texts_of(corpus) == ["x", "y", "1", "c"]


def test_a_linked_folder_can_be_the_corpus_and_a_linked_file_too(tmp_path: Path) -> None:
    write(tmp_path / "real", {"x.txt": "x"})
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "one.txt").symlink_to("real/x.txt")
    assert texts_of(tmp_path / "link") == texts_of(tmp_path / "one.txt") == ["x"]


def test_an_empty_file_among_good_ones_is_left_out_and_counted(tmp_path: Path) -> None:
    empty = {f"empty{kind}": "" for kind in (".csv", ".tsv", ".parquet", ".jsonl", ".txt")}
    write(tmp_path, {**empty, "header.csv": "text,other\n", "good.txt": "good"})
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(b""))
    assert texts_of(tmp_path) == ["good"]
    counts = left_out(LocalCorpus(tmp_path, min_characters=1))
    assert counts.empty_files == 7
    assert counts.sentences(1) == ["skipped: 7 empty files"]
    (tmp_path / "good.txt").unlink()
    with pytest.raises(CorpusError, match="no text in the corpus"):
        texts_of(tmp_path)


def test_dropped_and_replaced_texts_are_counted_and_survive_resuming(tmp_path: Path) -> None:
    texts = ["long enough", "short", " " * 20, '\ud800 half a pair"', "", "and long again", "tiny"]
    (tmp_path / "x.jsonl").write_text(lines_of(*texts) + '{"text": null}\n')
    corpus = LocalCorpus(tmp_path, min_characters=8)
    whole = left_out(corpus)
    assert (whole.short, whole.blank, whole.replaced) == (2, 3, 1)
    assert whole.sentences(8) == [
        "skipped: 2 short texts of fewer than 8 characters (--min-characters)",
        "skipped: 3 blank texts",
        "replaced by U+FFFD: unpaired surrogates in 1 text",
    ]
    stream = corpus.documents()
    for _ in range(3):
        next(stream)
        rest = corpus.documents(json.loads(json.dumps(stream.state())))
        list(rest)
        assert LeftOut.of(rest.state()) == whole


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        ("x.json", '[{"text": "a"}]', "no readable text file", "jsonl"),
        ("x.md", "# a", "no readable text file", ".ndjson, .csv, .tsv"),
        ("x.html", "<p>", "no readable text file", "--corpus takes .txt"),
        ("notes", "plain", "no readable text file: .*no ending", "a name that ends in .txt"),
        ("x.parquet.gz", "", "no readable text file", ".parquet"),
        ("x.jsonl", '[\n{"text": "a"}\n]', "line 1", "bring the whole|JSON"),
        ("x.jsonl", '[{"text": "a"}]\n', "not a JSON object: .*line 1", "one JSON object per line"),
        (
            "x.jsonl",
            lines_of("a") + '{"text": "b',
            "line 2: .*in the middle of its last line",
            "last line",
        ),
        ("x.jsonl", lines_of("a") + '{"text": b}\n', "line 2", None),
        ("x.csv", "id;body\n1;a\n", "separated by semicolons, has 'id', 'body'", "--column id"),
        ("x.tsv", "id\tbody\n1\ta\n", "separated by tabs, has 'id', 'body'", "--column"),
        ("x.csv", "text,n\na,1\nb,2,c\n", "line 3: 3 fields", "quote"),
        ("x.csv", 'text,n\na,1\n"b,2\nc,3\n', "line 4: unexpected end", "quote"),
        ("x.csv", 'text,n\n"a "b" c",1\n', "line 2", "quote"),
    ],
)
def test_wrong_files_are_named_with_what_helps(
    tmp_path: Path, name: str, text: str, message: str, hint: str | None
) -> None:
    write(tmp_path, {name: text})
    with pytest.raises(CorpusError, match=message) as caught:
        texts_of(tmp_path / name)
    assert name in caught.value.what
    assert (hint or "") in str(caught.value.hint) or "|" in str(hint)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.csv.gz"])
def test_separators_are_told_apart_by_the_header(tmp_path: Path, delimiter: str, name: str) -> None:
    rows = [["id", "text", "a b"], ["1", f'"with{delimiter} it"', ""], ["2", "plain", "x"]]
    data = "".join(delimiter.join(row) + "\r\n" for row in rows).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert texts_of(tmp_path / name) == [f"with{delimiter} it", "plain"]


def test_a_single_column_needs_no_separator_and_a_field_may_be_long(tmp_path: Path) -> None:
    long = "word " * 2_000_000
    write(tmp_path, {"x.csv": f'text\n"a; b"\n{long.strip()}\n'})
    assert texts_of(tmp_path) == ["a; b", long.strip()]


def test_a_change_in_the_middle_is_noticed_at_equal_size_and_date(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    data = lines_of(*(f"text number {n:06}" for n in range(26_000))).encode()
    assert len(data) == 806_000
    path.write_bytes(data)
    os.utime(path, (0, 0))
    first = LocalCorpus(path).identity()
    path.write_bytes(data.replace(b"012345", b"543210"))
    os.utime(path, (0, 0))
    changed = LocalCorpus(path).identity()
    assert changed["sha256"] != first["sha256"]
    assert changed["bytes"] == first["bytes"]


def test_identity_says_what_it_compares(tmp_path: Path) -> None:
    write(tmp_path / "a", {"x.txt": "one", "y.txt": "two"})
    first = LocalCorpus(tmp_path / "a").identity()
    (tmp_path / "a").rename(tmp_path / "b")
    assert LocalCorpus(tmp_path / "b").identity() == first
    assert LocalCorpus(tmp_path / "b", encoding="cp1252").identity() != first
    (tmp_path / "b" / "x.txt").rename(tmp_path / "b" / "z.txt")
    assert LocalCorpus(tmp_path / "b").identity() != first
    single = LocalCorpus(tmp_path / "b" / "z.txt")
    known = single.identity()
    (tmp_path / "b" / "z.txt").rename(tmp_path / "moved.txt")
    assert LocalCorpus(tmp_path / "moved.txt").identity() == known
    assert (single.name, LocalCorpus(tmp_path / "b").name) == ("z.txt", "b")
    with (tmp_path / "moved.txt").open("a") as file:
        file.write("!")
    assert LocalCorpus(tmp_path / "moved.txt").identity()["bytes"] == 4


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus that counts as too large to be hashed, with few samples."""
    monkeypatch.setattr(fingerprint, "WHOLE_BYTES", 10_000)
    monkeypatch.setattr(fingerprint, "SAMPLE_BYTES", 16)
    monkeypatch.setattr(fingerprint, "SAMPLES", 4)
    for name in "abc":
        lines = lines_of(*(f"text {name} {n:06}" for n in range(300)))
        (tmp_path / f"{name}.jsonl").write_text(lines)
    return tmp_path


def change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))


@pytest.mark.parametrize("taken", [1, 250, 301, 700])
def test_what_was_read_of_a_large_corpus_is_compared_when_it_goes_on(
    large: Path, taken: int
) -> None:
    corpus = LocalCorpus(large, min_characters=1)
    assert corpus.fingerprint.sampled
    everything = list(corpus.documents())
    stream = corpus.documents()
    for _ in range(taken):
        next(stream)
    state = json.loads(json.dumps(stream.state()))
    assert list(LocalCorpus(large, min_characters=1).documents(state)) == everything[taken:]
    identity = corpus.identity()
    change(large / "a.jsonl", b"text a 000000", b"TEXT a 000000")
    again = LocalCorpus(large, min_characters=1)
    with pytest.raises(ConflictError, match="the corpus changed"):
        next(again.documents(state))
    change(large / "a.jsonl", b"TEXT a 000000", b"text a 000000")
    change(large / "c.jsonl", b"text c 000290", b"TEXT c 000290")
    assert [d.text for d in LocalCorpus(large, min_characters=1).documents(state)][-10] == (
        "TEXT c 000290"
    )
    assert LocalCorpus(large).identity()["bytes"] == identity["bytes"]


def test_samples_of_a_large_corpus_notice_sizes_beginnings_and_ends(large: Path) -> None:
    first = LocalCorpus(large).identity()
    for old, new in ((b"text b 000000", b"text b 900000"), (b"text b 000299", b"text b 000999")):
        change(large / "b.jsonl", old, new)
        assert (LocalCorpus(large).identity() != first) == (b"000299" in old)
        change(large / "b.jsonl", new, old)
    (large / "b.jsonl").write_text((large / "b.jsonl").read_text() + lines_of("more"))
    assert LocalCorpus(large).identity() != first
