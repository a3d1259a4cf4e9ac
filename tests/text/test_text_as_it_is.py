"""Any text comes through as it is, from every format, local and from the hub."""

from __future__ import annotations

import csv
import json
import random
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from tests.hub.server import Hub

from ghosttrack_cli.text.hub import HubCorpus
from ghosttrack_cli.text.local import LocalCorpus
from ghosttrack_cli.text.usable_texts import LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ghosttrack_cli.text.documents import Corpus

HOSTILE = [
    "<|endoftext|> is text <s> [MASK]",
    "nul \0 stays",
    "cr\rlf\r\nlf\n\n",
    "\ufeffa mark first, and \ufeff inside",
    "\u2028 separators \u2029 and \x85 next lines \x1c\x1d",
    'quotes " and "" and \' and , ; | \t',
    "\ufffd was there before",
    "family 👩‍👩‍👧, flag 🇺🇦, \U0010ffff and \ue000",
    "العربية हिन्दी 中文 \u202e turned \u202c e\u0301 é",
    " leading and trailing \n",
    "\\ud800 is an escape, not a half",
]
ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
SAME_FOLDER = HealthCheck.function_scoped_fixture


def write_parquet(path: Path, texts: list[str]) -> None:
    parquet.write_table(pa.table({"text": pa.array(texts, pa.string())}), path, row_group_size=3)


def write_jsonl(path: Path, texts: list[str]) -> None:
    lines = [json.dumps({"text": text}, ensure_ascii=len(text) % 2 == 0) for text in texts]
    path.write_bytes("\n".join(lines).encode() + b"\n")


def write_csv(path: Path, texts: list[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["text"], *([text] for text in texts)])


WRITERS = {".parquet": write_parquet, ".jsonl": write_jsonl, ".csv": write_csv}


def texts_of(corpus: Corpus) -> tuple[list[str], LeftOut]:
    stream = corpus.documents()
    return [document.text for document in stream], LeftOut.of(stream.state())


def check_all(corpus: Corpus, texts: list[str]) -> None:
    """All texts but blank ones as they are, and from any place on."""
    kept = [text for text in texts if not text.isspace()]
    found, left_out = texts_of(corpus)
    assert found == kept
    assert left_out == LeftOut(blank=len(texts) - len(kept))
    stream = corpus.documents()
    for _ in range(len(kept) // 2):
        next(stream)
    rest = corpus.documents(json.loads(json.dumps(stream.state())))
    assert [document.text for document in rest] == kept[len(kept) // 2 :]


@settings(max_examples=60, deadline=None, suppress_health_check=[SAME_FOLDER])
@given(
    texts=st.lists(ANY, min_size=1, max_size=12).map(lambda some: [*some, "kept"]),
    kind=st.sampled_from(sorted(WRITERS)),
)
@example(texts=HOSTILE, kind=".parquet")
@example(texts=HOSTILE, kind=".jsonl")
@example(texts=HOSTILE, kind=".csv")
def test_local_texts_come_through_as_they_are(texts: list[str], kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{kind}"
    WRITERS[kind](path, texts)
    check_all(LocalCorpus(path, min_characters=1), texts)


@settings(max_examples=40, deadline=None, suppress_health_check=[SAME_FOLDER])
@given(text=ANY.filter(lambda text: not text.isspace() and not text.startswith("\ufeff")))
@example(text="\r")
@example(text=HOSTILE[2])
def test_a_text_file_comes_through_as_it_is(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes((text + " end").encode())
    check_all(LocalCorpus(path, min_characters=1), [text + " end"])


@settings(max_examples=40, deadline=None, suppress_health_check=[SAME_FOLDER])
@given(st.lists(st.text(st.characters(exclude_categories=[])), max_size=6))
@example(["\ud83d\ude00", "\ude00\ud83d", "half \ud800", "\udfff"])
def test_half_pairs_are_replaced_and_counted_and_nothing_else(
    tmp_path: Path, texts: list[str]
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, "kept"]))
    found, left_out = texts_of(LocalCorpus(path, min_characters=1))
    read = [json.loads(json.dumps(text)) for text in texts if text and not text.isspace()]
    halves = [sum("\ud800" <= one <= "\udfff" for one in text) for text in read]
    assert left_out.replaced == sum(count > 0 for count in halves)
    for text, came, count in zip([*read, "kept"], found, [*halves, 0], strict=True):
        assert came.count("\ufffd") == text.count("\ufffd") + count
        assert (came == text) == (count == 0)


def test_a_line_of_ten_megabytes_comes_through(tmp_path: Path) -> None:
    pieces = random.Random(0).choices(["word ", "слово ", "語", "\0", "\r\n"], k=9999)
    long = "".join(pieces) * 250
    assert len(long.encode()) > 10_000_000
    for kind, write in WRITERS.items():
        path = tmp_path / f"x{kind}"
        write(path, ["before", long, "after"])
        found, _ = texts_of(LocalCorpus(path, min_characters=1))
        assert found == ["before", long, "after"], kind


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub of its own with one data set for each format."""
    generator = random.Random(1)
    ranges = [(1, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)]
    texts = list(HOSTILE)
    for _ in range(60):
        bounds = generator.choices(ranges, k=generator.randint(1, 30))
        texts.append("x" + "".join(chr(generator.randint(*bound)) for bound in bounds))
    for kind, write in WRITERS.items():
        folder = tmp_path / "hub" / "datasets" / "made" / f"up{kind.replace('.', '-')}"
        folder.mkdir(parents=True)
        write(folder / f"train{kind}", texts)
        (folder / "texts.json").write_text(json.dumps(texts))
        (folder / "README.md").write_text(
            f"---\nconfigs:\n- config_name: default\n  data_files: train{kind}\n---\n"
        )
    with Hub(tmp_path / "hub") as hub:
        yield hub


@pytest.mark.parametrize("kind", WRITERS)
def test_texts_of_the_hub_come_through_as_they_are(kind: str, hub_here: Hub) -> None:
    name = f"made/up{kind.replace('.', '-')}"
    texts = json.loads((hub_here.folder("datasets", name) / "texts.json").read_text())
    check_all(HubCorpus(name, min_characters=1), texts)
