from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.text.python_docs import PythonDocsCorpus, split_text
from ghosttrack_cli.text.usable_texts import LeftOut

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.text.documents import Corpus

SHELF = '''"""The shelf holds things."""

class Shelf:
    """A board.

    It is flat.
    """

    def put(self, thing):
        "Put a thing."
        self.things.append(thing)

    def one(self): "One line."
'''


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    (folder / "pydoc_data").mkdir(parents=True)
    (folder / "pydoc_data" / "topics.py").write_text(
        "topics = {'assert': 'The statement ' 'asserts.\\n', 'del': 'It deletes.'}\n"
    )
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").write_text('"""A shop."""\nopen_today = True\n')
    (folder / "shop" / "shelf.py").write_text(SHELF)
    for skipped in ("test", "site-packages", "idlelib", "encodings"):
        (folder / skipped).mkdir()
        (folder / skipped / "other.py").write_text('"""Never to be read."""\n')
    return folder


def texts(folder: Path, *, min_characters: int = 1) -> dict[str, list[str]]:
    stream = PythonDocsCorpus(folder, min_characters=min_characters).documents()
    found: dict[str, list[str]] = {}
    for document in stream:
        found.setdefault(stream.origin, []).append(document.text)
    return found


def test_a_planted_library_gives_its_topics_docstrings_and_code(library: Path) -> None:
    found = texts(library)
    assert found["topics/assert"] == ["The statement asserts."]
    assert found["topics/del"] == ["It deletes."]
    assert set(found["shop/__init__.py"]) == {"shop\n\nA shop.", "open_today = True"}
    prose, code = sorted(found["shop/shelf.py"], key=lambda text: "append" in text)
    assert prose == (
        "shop.shelf\n\nThe shelf holds things.\n\n"
        "shop.shelf.Shelf\n\nA board.\n\nIt is flat.\n\n"
        "shop.shelf.Shelf.put\n\nPut a thing.\n\nshop.shelf.Shelf.one\n\nOne line."
    )
    assert "A board" not in code
    assert "self.things.append(thing)" in code
    assert 'def one(self): "One line."' in code


def test_nothing_is_read_from_tests_tables_and_installed_packages(library: Path) -> None:
    everything = json.dumps(texts(library))
    assert "Never to be read" not in everything


def test_ids_count_the_documents_that_were_kept(library: Path) -> None:
    kept = list(PythonDocsCorpus(library, min_characters=20).documents())
    assert [document.id for document in kept] == list(range(len(kept)))
    assert all(len(document.text) >= 20 for document in kept)
    assert len(kept) < len(list(PythonDocsCorpus(library, min_characters=1).documents()))


def test_short_pieces_are_counted_and_a_resumed_stream_counts_the_same(library: Path) -> None:
    everything = [
        document.text for document in PythonDocsCorpus(library, min_characters=1).documents()
    ]
    for least in (20, 60, 10_000):
        corpus = PythonDocsCorpus(library, min_characters=least)
        stream = corpus.documents()
        kept = sum(1 for _ in stream)
        short = sum(len(text) < least for text in everything)
        assert LeftOut.of(stream.state()) == LeftOut(short=short)
        assert kept == len(everything) - short
        stream = corpus.documents()
        for _ in range(kept):
            next(stream)
            resumed = corpus.documents(json.loads(json.dumps(stream.state())))
            list(resumed)
            assert LeftOut.of(resumed.state()).short == short


def test_the_identity_follows_the_files_and_the_setting(library: Path) -> None:
    before = PythonDocsCorpus(library).identity()
    assert before == PythonDocsCorpus(library).identity()
    assert before != PythonDocsCorpus(library, min_characters=1).identity()
    (library / "shop" / "shelf.py").write_text(SHELF + "\n")
    assert before != PythonDocsCorpus(library).identity()
    json.dumps(before)


def test_a_library_without_sources_is_a_corpus_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no Python sources"):
        PythonDocsCorpus(tmp_path)


def test_a_source_that_cannot_be_decoded_is_a_corpus_error_with_its_path(library: Path) -> None:
    (library / "shop" / "shelf.py").write_bytes(b"# coding: no-such-coding\n")
    with pytest.raises(CorpusError, match=r"shelf\.py"):
        texts(library)


def test_a_library_without_topics_gives_the_rest(library: Path) -> None:
    (library / "pydoc_data" / "topics.py").unlink()
    assert sorted(texts(library)) == ["shop/__init__.py", "shop/shelf.py"]


@settings(max_examples=5, deadline=None)
@given(taken=st.integers(0, 150))
def test_a_stream_resumes_where_it_was(taken: int) -> None:
    corpus: Corpus = PythonDocsCorpus()
    stream = corpus.documents()
    for _ in range(taken):
        next(stream)
    state = json.loads(json.dumps(stream.state()))
    resumed = corpus.documents(state)
    following = list(itertools.islice(stream, 20))
    assert list(itertools.islice(resumed, 20)) == following
    assert following[0].id == taken
    assert resumed.state() == stream.state()


def test_a_stream_at_its_end_stays_there(library: Path) -> None:
    corpus = PythonDocsCorpus(library, min_characters=1)
    stream = corpus.documents()
    assert list(stream)
    assert list(stream) == []
    assert list(corpus.documents(stream.state())) == []


def test_the_beginning_of_the_real_corpus_mixes_topics_prose_and_code() -> None:
    stream = PythonDocsCorpus().documents()
    kinds = {"topics": 0, "code": 0, "prose": 0}
    for document in itertools.islice(stream, 160):
        code = "self." in document.text or "import " in document.text
        kinds["topics" if stream.origin.startswith("topics/") else "code" if code else "prose"] += 1
    assert kinds["topics"] == 10
    assert min(kinds["code"], kinds["prose"]) > 40


@given(
    st.lists(st.text(alphabet="ab \n", max_size=30), max_size=8).map("\n\n".join),
    st.integers(1, 60),
)
def test_pieces_hold_the_words_in_order_and_keep_to_the_limit(text: str, limit: int) -> None:
    pieces = split_text(text, limit)
    assert " ".join(pieces).split() == text.split()
    longest_block = max(len(block) for block in text.split("\n\n"))
    assert all(len(piece) <= max(limit, longest_block) for piece in pieces)
