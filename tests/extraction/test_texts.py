"""What an extraction says of its text: documents, what was left out, and whether it changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ghosttrack_cli.errors import ConflictError, CorpusError, HubError, Stopped
from ghosttrack_cli.store.format.commit_record import read_commit
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.training.plan.conditions import unfinished

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """240 texts, of which every sixth is long enough; the last ones are too short, too."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    texts = [f"number {n} " + "word " * (60 if n % 6 == 0 else 3) for n in range(240)]
    lines = [json.dumps({"text": text}) for text in [*texts, "  ", "\ud800 " + "word " * 60]]
    (folder / "x.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "notes.md").write_text("no text")
    return folder


def test_what_was_left_out_is_counted_and_said(extraction: Any, corpus: Path) -> None:
    result = extraction(corpus_source=str(corpus), corpus_min_characters=100, tokens="1M")
    assert result.text == {
        "documents": 41,
        "short": 200,
        "blank": 1,
        "replaced": 1,
        "empty_files": 0,
        "files_in_other_formats": 1,
    }
    assert extraction.notices[:4] == [
        "skipped: 1 file in other formats (.md)",
        "skipped: 200 short texts of fewer than 100 characters (--min-characters)",
        "skipped: 1 blank text",
        "replaced by U+FFFD: unpaired surrogates in 1 text",
    ]
    documents = ActivationStore.open(result.store).doc_ids()
    assert len(np.unique(documents)) == result.documents == 41


def test_the_count_is_of_the_rows_that_are_there(extraction: Any, corpus: Path) -> None:
    result = extraction(corpus_source=str(corpus), corpus_min_characters=100, tokens=3000)
    documents = ActivationStore.open(result.store).doc_ids()
    assert result.documents == int(documents.max()) + 1 < 41
    assert 0 < result.text["short"] <= 6 * result.documents
    again = extraction(corpus_source=str(corpus), corpus_min_characters=100, tokens=3000)
    assert again.text == result.text


def test_stopped_and_resumed_it_counts_the_same(
    make_extraction: Any, corpus: Path, tmp_path: Path
) -> None:
    asked = {"corpus_source": str(corpus), "corpus_min_characters": 100, "tokens": 9000}
    whole = make_extraction(tmp_path / "whole")(**asked)
    stopped = make_extraction(tmp_path / "stopped")
    with pytest.raises(Stopped):
        stopped(stop_signal=lambda: 2, **asked)
    assert 0 < read_commit(stopped.workspace.store).rows < 9000
    resumed = stopped(**asked)
    assert resumed.text == whole.text
    assert read_commit(whole.store) == read_commit(resumed.store)


def test_a_file_that_changed_in_the_middle_is_noticed(extraction: Any, corpus: Path) -> None:
    asked = {"corpus_source": str(corpus), "corpus_min_characters": 100, "tokens": 9000}
    with pytest.raises(Stopped):
        extraction(stop_signal=lambda: 2, **asked)
    path = corpus / "x.jsonl"
    path.write_text(path.read_text().replace("number 120", "NUMBER 120"))
    with pytest.raises(ConflictError, match=r"corpus\.sha256"):
        extraction(**asked)


def test_text_that_is_bad_where_the_first_look_did_not_come(
    extraction: Any, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ghosttrack_cli.text.first_look.WHOLE_CHARACTERS", 1000)
    (corpus / "y.jsonl").write_text('{"text": "good"}\n{"text": 7}\n{"text": "good"}\n')
    with pytest.raises(CorpusError, match=r"y\.jsonl, line 2"):
        extraction(corpus_source=str(corpus), corpus_min_characters=100, tokens="1M")
    rows = read_commit(extraction.workspace.store).rows
    assert rows > 9000
    assert extraction.notices[-1].startswith(f"{rows:,} tokens from before the bad text are stored")
    (corpus / "y.jsonl").unlink()
    asked = {"corpus_source": str(corpus), "corpus_min_characters": 100, "tokens": "1M"}
    with pytest.raises(ConflictError) as caught:
        extraction(**asked)
    assert "--overwrite" in str(caught.value.hint)
    assert extraction(**asked, overwrite=True).documents == 41


def test_a_bad_file_among_many_is_found_before_anything_is_stored(
    extraction: Any, corpus: Path
) -> None:
    (corpus / "y.txt").write_bytes("größer ".encode("latin-1") * 40)
    with pytest.raises(CorpusError, match=r"y\.txt, byte 2"):
        extraction(corpus_source=str(corpus), tokens=500)
    assert not extraction.workspace.store.exists()


def test_a_corpus_that_ends_early_is_no_unfinished_store(extraction: Any, corpus: Path) -> None:
    asked = {"corpus_source": str(corpus), "corpus_min_characters": 100}
    result = extraction(**asked, tokens="1M")
    commit = read_commit(result.store)
    assert (commit.complete, commit.corpus_ended, commit.asked_rows) == (False, True, 1_000_000)
    assert unfinished(ActivationStore.open(result.store)) is None
    again = extraction(**asked, tokens="2M")
    assert (again.rows, again.text) == (result.rows, result.text)
    assert read_commit(result.store).corpus_ended


def test_a_store_that_grows_does_not_count_the_text_of_fewer_rows(
    extraction: Any, corpus: Path
) -> None:
    asked = {"corpus_source": str(corpus), "corpus_min_characters": 100}
    first = extraction(**asked, tokens=3000)
    assert first.text is not None
    with pytest.raises(Stopped):
        extraction(stop_signal=lambda: 2, **asked, tokens=9000)
    commit = read_commit(first.store)
    assert (commit.text, commit.corpus_ended, commit.reached) == (None, False, False)
    assert "ghosttrack extract adds the rest" in str(unfinished(ActivationStore.open(first.store)))
    assert extraction(**asked, tokens=9000).documents > first.documents


def test_a_folder_that_was_renamed_is_the_same_corpus(extraction: Any, corpus: Path) -> None:
    asked = {"corpus_min_characters": 100, "tokens": 9000}
    with pytest.raises(Stopped):
        extraction(stop_signal=lambda: 2, corpus_source=str(corpus), **asked)
    moved = corpus.rename(corpus.with_name("moved"))
    result = extraction(corpus_source=str(moved), **asked)
    assert result.rows == 9000
    assert read_commit(result.store).identity.corpus["name"] == "corpus"


def test_other_text_is_refused_without_the_hub_too(
    extraction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise HubError("the hub is away")

    first = extraction(tokens=4000)
    monkeypatch.setattr("ghosttrack_cli.model.loading.identify_model", away)
    extraction.notices.clear()
    assert extraction(tokens=4000).text == first.text
    assert "not compared with the hub: the hub is away" in extraction.notices
    extraction.notices.clear()
    for changes in ({"corpus_source": "wikipedia"}, {"corpus_min_characters": 7}):
        with pytest.raises(ConflictError, match="made from different text"):
            extraction(tokens=4000, **changes)
    assert not extraction.notices


def test_the_hint_of_a_refused_text_helps(extraction: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(("body;id\n" + "Größe und façade;1\n" * 400).encode("cp1252"))
    asked = {"corpus_source": str(path), "tokens": 2000}
    hints = {"corpus_column": "--column body", "corpus_encoding": "--encoding cp1252"}
    for key, words in hints.items():
        with pytest.raises(CorpusError) as caught:
            extraction(**asked)
        assert words in str(caught.value.hint)
        asked[key] = words.split()[1]
    assert extraction(**asked).rows == 2000
