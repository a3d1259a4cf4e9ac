"""Texts to interpret on: what is left out is counted, limits and hints name the right flags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli.errors import CorpusError, UsageError
from ghosttrack_cli.interpretation.collect.row_batch import not_read, with_batch
from ghosttrack_cli.interpretation.prompt import explain_prompt
from ghosttrack_cli.interpretation.sources import text_source
from ghosttrack_cli.interpretation.sources.choose import open_source
from ghosttrack_cli.settings.schema import CorpusSettings, InterpretationSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.interpretation.collect.row_batch import RowSource
    from ghosttrack_cli.workspace import Workspace

LAYER = 2


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Long and short texts in turn; two short ones come last."""
    lines = [f"text {n} " + "word " * (30 if n % 2 == 0 else 1) for n in range(12)]
    records = [*lines, "", "\ud800 " + "word " * 30, "tiny", " "]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in records))
    return path


def opened(
    path: Path, demo_model: Any, workspace: Workspace, corpus: Any = None, **settings: Any
) -> RowSource:
    asked = InterpretationSettings.model_validate({"texts": str(path), **settings})
    corpus = CorpusSettings.model_validate(corpus or {})
    return open_source(StageRequest(ModelSettings(), corpus, asked, workspace), demo_model)


@pytest.mark.parametrize("batch_rows", [1, 60, 10_000])
def test_what_is_left_out_is_in_the_facts_wherever_it_stands(
    texts: Path,
    demo_model: Any,
    workspace: Workspace,
    batch_rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text_source, "BATCH_ROWS", batch_rows)
    source = opened(texts, demo_model, workspace)
    facts, place = source.facts, None
    for batch in source.batches([LAYER], None):
        facts, place = with_batch(facts, batch), batch.cursor
        resumed = facts
        for rest in source.batches([LAYER], place):
            resumed = with_batch(resumed, rest)
        assert (resumed.short, resumed.blank, resumed.replaced) == (7, 2, 1)
    assert (facts.texts, facts.short, facts.blank, facts.replaced) == (7, 7, 2, 1)
    assert not_read(facts) == [
        "skipped: 7 short texts (--min-characters)",
        "skipped: 2 blank texts",
        "replaced by U+FFFD: unpaired surrogates in 1 text",
    ]


def test_a_limit_below_the_first_text_says_so_and_how_much_it_takes(
    texts: Path, demo_model: Any, workspace: Workspace
) -> None:
    source = opened(texts, demo_model, workspace, max_tokens=5)
    with pytest.raises(UsageError, match=r"--max-tokens 5 is less than the first window") as caught:
        list(source.batches([LAYER], None))
    enough = int(str(caught.value.hint).split()[1])
    with pytest.raises(UsageError, match="--max-tokens 5 is less"):
        source.count_rows(1000)
    source = opened(texts, demo_model, workspace, max_tokens=enough)
    (batch,) = source.batches([LAYER], None)
    assert len(batch.rows.token_ids) == enough


def test_a_question_has_two_answers(tmp_path: Path, demo_model: Any, workspace: Workspace) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "question,best_answer,incorrect_answers,category\nIs it?,Yes it is,No; Never,Facts\n"
    )
    with pytest.raises(UsageError, match=r"--max-texts 1 is less than the 2 answers"):
        list(opened(path, demo_model, workspace, max_texts=1).batches([LAYER], None))
    (batch,) = opened(path, demo_model, workspace, max_texts=2).batches([LAYER], None)
    assert batch.texts == 2


@pytest.mark.parametrize(
    ("name", "content"), [("typo.txt", None), ("x.md", "text"), ("x.txt", ""), ("x.txt", "  ")]
)
def test_hints_name_the_flag_that_named_the_texts(
    tmp_path: Path, demo_model: Any, workspace: Workspace, name: str, content: str | None
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(CorpusError) as caught:
        list(opened(tmp_path / name, demo_model, workspace).batches([LAYER], None))
    assert str(caught.value.hint).startswith("--texts ")


def test_column_and_encoding_hold_for_texts_too(
    tmp_path: Path, demo_model: Any, workspace: Workspace
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("id;körper\n1;größer\n".encode("cp1252"))
    with pytest.raises(CorpusError, match=r"byte 4:"):
        list(opened(path, demo_model, workspace).batches([LAYER], None))
    corpus = {"column": "körper", "encoding": "cp1252", "min_characters": 1}
    (batch,) = opened(path, demo_model, workspace, corpus).batches([LAYER], None)
    assert demo_model.tokenizer.decode(batch.rows.token_ids[1:]) == "größer"


def test_what_a_folder_of_texts_has_beside_them_is_said(
    texts: Path, demo_model: Any, workspace: Workspace
) -> None:
    (texts.parent / "notes.md").write_text("no text")
    said: list[str] = []

    def open_in(path: Path) -> None:
        settings = InterpretationSettings(texts=str(path))
        request = StageRequest(ModelSettings(), CorpusSettings(), settings, workspace)
        open_source(request, demo_model, said.append)

    open_in(texts)
    assert not said
    open_in(texts.parent)
    assert said == ["skipped: 1 file in other formats (.md)"]


def test_a_prompt_of_other_bytes_is_refused(demo_model: Any, workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        explain_prompt("caf\udce9", [LAYER], InterpretationSettings(), demo_model, workspace)
