"""Rows from texts and from a store: right tokens, right windows, nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from ghosttrack_cli.errors import ConflictError, StateError
from ghosttrack_cli.interpretation.collect.row_batch import RowCount
from ghosttrack_cli.interpretation.sources import store_source, text_source
from ghosttrack_cli.interpretation.sources.choose import open_source
from ghosttrack_cli.interpretation.sources.prompt_sets import ListedTexts, TruthfulQATexts
from ghosttrack_cli.interpretation.sources.store_source import StoreSource
from ghosttrack_cli.interpretation.sources.text_source import TextSource
from ghosttrack_cli.settings.schema import CorpusSettings, InterpretationSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest
from ghosttrack_cli.store.format.identity import StoreIdentity
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.store.write.writer import StoreWriter
from ghosttrack_cli.text.truthfulqa import TruthfulQAExample

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.interpretation.collect.row_batch import RowBatch
    from ghosttrack_cli.workspace import Workspace

LAYER = 2
DEFAULTS = InterpretationSettings()


def settings(**changes: Any) -> InterpretationSettings:
    return InterpretationSettings.model_validate(changes)


def joined(batches: list[RowBatch], name: str) -> Any:
    return np.concatenate([getattr(batch.rows, name) for batch in batches])


@pytest.mark.parametrize("batch_rows", [1, 100, 10_000])
def test_texts_give_the_rows_of_each_text_alone(
    demo_model: Any, documents: list[str], batch_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_source, "BATCH_ROWS", batch_rows)
    source = TextSource(ListedTexts(documents[:8]), demo_model, DEFAULTS)
    batches = list(source.batches([LAYER], None))
    x = torch.cat([batch.x[LAYER] for batch in batches])
    expected, ids = [], []
    for text in documents[:8]:
        row = [demo_model.tokenizer.bos_token_id, *demo_model.tokenizer(text)["input_ids"]]
        ids += row
        expected.append(demo_model.residuals(torch.tensor([row]), [LAYER])[LAYER][0])
    assert joined(batches, "token_ids").tolist() == ids
    torch.testing.assert_close(x, torch.cat(expected), rtol=1e-3, atol=1e-3)
    assert (np.diff(joined(batches, "numbers")) > 0).all()
    assert sum(batch.texts for batch in batches) == 8
    for batch in batches:
        starts = np.diff(batch.rows.windows, prepend=-1) != 0
        assert (batch.rows.positions[starts] == 0).all()


LONG = " ".join(f"word{number}" for number in range(60))


def test_a_long_text_is_several_windows(planted_model: Any) -> None:
    source = TextSource(ListedTexts([LONG, "short"]), planted_model, DEFAULTS)
    (batch,) = source.batches([0], None)
    rows, context = batch.rows, planted_model.max_context
    tokens = planted_model.tokenizer(LONG)["input_ids"]
    whole, rest = divmod(len(tokens), context - 1)
    assert whole > 1
    assert rest
    short = 1 + len(planted_model.tokenizer("short")["input_ids"])
    lengths = [*[context] * whole, 1 + rest, short]
    assert (batch.texts, batch.windows, batch.truncated) == (2, whole + 2, 0)
    assert np.bincount(rows.windows).tolist() == lengths
    assert rows.positions.tolist() == [at for length in lengths for at in range(length)]
    long = rows.documents == 0
    bos = planted_model.tokenizer.bos_token_id
    assert rows.token_ids[long & (rows.positions > 0)].tolist() == tokens
    assert set(rows.token_ids[rows.positions == 0].tolist()) == {bos}
    assert rows.numbers[long].tolist() == list(range(len(tokens) + whole + 1))
    assert rows.numbers[~long].tolist() == [2**20 + at for at in range(short)]
    assert source.count_rows(10_000) == RowCount(len(rows), "exactly")


def test_each_window_is_read_as_a_text_of_its_own(planted_model: Any) -> None:
    source = TextSource(ListedTexts([LONG]), planted_model, DEFAULTS)
    (batch,) = source.batches([0], None)
    for number in range(batch.windows):
        of_window = torch.from_numpy(batch.rows.windows == number)
        ids = torch.from_numpy(batch.rows.token_ids)[of_window]
        alone = planted_model.residuals(ids[None], [0])[0][0]
        torch.testing.assert_close(batch.x[0][of_window], alone, rtol=1e-3, atol=1e-3)


def test_a_pass_goes_on_in_the_middle_of_a_text(
    planted_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_source, "BATCH_ROWS", 50)
    source = TextSource(ListedTexts(["first", LONG, "last"]), planted_model, DEFAULTS)
    whole = list(source.batches([0], None))
    assert len(whole) > 2
    for number, batch in enumerate(whole[:-1], start=1):
        rest = list(source.batches([0], batch.cursor))
        assert joined(rest, "numbers").tolist() == joined(whole[number:], "numbers").tolist()
        assert sum(one.texts for one in rest) == sum(one.texts for one in whole[number:])
    assert sum(batch.texts for batch in whole) == 3


def test_a_limit_of_rows_ends_inside_a_long_text(planted_model: Any) -> None:
    context = planted_model.max_context
    asked = settings(max_tokens=2 * context + 1)
    (batch,) = TextSource(ListedTexts([LONG]), planted_model, asked).batches([0], None)
    assert (len(batch.rows), batch.texts) == (2 * context, 1)


def test_rows_of_very_long_texts_have_numbers_of_their_own() -> None:
    documents = np.repeat([0, 1, 2], 3)
    rows = np.tile([0, 2**20 - 1, 2**20], 3)
    numbers = text_source._numbers(documents, rows).tolist()
    assert numbers[:2] + numbers[3:5] == [0, 2**20 - 1, 2**20, 2**21 - 1]
    assert len(set(numbers)) == 9


def test_an_answer_stays_with_its_question_and_is_cut(planted_model: Any) -> None:
    example = TruthfulQAExample("Is water wet?", LONG, "No.", "Water")
    source = TextSource(TruthfulQATexts([example], "truthfulqa"), planted_model, DEFAULTS)
    (batch,) = source.batches([0], None)
    assert (batch.texts, batch.windows, batch.truncated) == (2, 2, 1)
    assert (batch.rows.windows == 0).sum() == planted_model.max_context


def test_a_cursor_goes_on_with_the_next_batch(
    planted_model: Any, documents: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_source, "BATCH_ROWS", 100)
    source = TextSource(ListedTexts(documents), planted_model, settings(max_texts=12))
    whole = list(source.batches([0], None))
    rest = list(source.batches([0], whole[1].cursor))
    assert joined(rest, "numbers").tolist() == joined(whole[2:], "numbers").tolist()
    assert sum(batch.texts for batch in whole) == 12


def test_limit_of_rows_ends_with_a_whole_text(planted_model: Any, documents: list[str]) -> None:
    source = TextSource(ListedTexts(documents), planted_model, settings(max_tokens=100))
    (batch,) = source.batches([0], None)
    assert len(batch.rows) == 96  # two windows of 48


def test_truthfulqa_counts_a_question_once_and_knows_its_answers(planted_model: Any) -> None:
    example = TruthfulQAExample("Is water wet?", "It is.", "It is not at all.", "Water")
    source = TextSource(TruthfulQATexts([example], "truthfulqa"), planted_model, DEFAULTS)
    (batch,) = source.batches([0], None)
    rows = batch.rows
    prompt, factual, hallucinated = (
        planted_model.tokenizer(text)["input_ids"]
        for text in ("Is water wet?", " It is.", " It is not at all.")
    )
    opening = [planted_model.tokenizer.bos_token_id, *prompt]
    assert rows.token_ids.tolist() == [*opening, *factual, *opening, *hallucinated]
    n, f, h = len(opening), len(factual), len(hallucinated)
    assert rows.answers.tolist() == [0] * n + [1] * f + [0] * n + [2] * h
    assert rows.counted.tolist() == [True] * (n + f) + [False] * n + [True] * h
    assert rows.kept.all()


def make_store(path: Path, model: Any = None, rows: int = 40) -> ActivationStore:
    """Four windows of ten rows; documents of seven rows."""
    identity = StoreIdentity(
        model="demo",
        model_revision=None,
        weights_sha256=model.identity.weights_sha256 if model else "0" * 64,
        tokenizer_sha256=model.identity.tokenizer_sha256 if model else "0" * 64,
        special_token_ids=(0,),
        corpus={"kind": "test"},
        context_length=10,
        batch_size=1,
        d_model=4,
        dtype="float32",
        chunk_rows=16,
    )
    numbers = np.arange(rows)
    x = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
    with StoreWriter.open(path, identity, (1, LAYER), asked_rows=rows) as writer:
        writer.append(
            {1: x, LAYER: -x},
            (numbers % 5).astype(np.int32),
            numbers // 7,
            (numbers % 10).astype(np.int32),
            cursor={"at": 0},
        )
        writer.seal(complete=True, cursor={"at": 1})
    return ActivationStore.open(path)


@pytest.mark.parametrize("batch_rows", [1, 10, 15, 25, 1000])
def test_store_rows_come_back_in_whole_windows(
    tmp_path: Path, batch_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_source, "BATCH_ROWS", batch_rows)
    source = StoreSource(make_store(tmp_path / "store"), DEFAULTS, torch.device("cpu"))
    batches = list(source.batches([1, LAYER], None))
    assert joined(batches, "numbers").tolist() == list(range(40))
    expected = torch.arange(160).float().reshape(40, 4)
    assert torch.equal(torch.cat([batch.x[1] for batch in batches]), expected)
    assert torch.equal(torch.cat([batch.x[LAYER] for batch in batches]), -expected)
    assert [len(batch.rows) % 10 for batch in batches] == [0] * len(batches)
    assert sum(batch.windows for batch in batches) == 9  # 4 windows, 5 borders of documents inside
    assert sum(batch.texts for batch in batches) == 6
    for batch in batches:
        for window in range(batch.windows):
            inside = batch.rows.windows == window
            assert len(set(batch.rows.documents[inside])) == 1
            assert (np.diff(batch.rows.positions[inside]) == 1).all()


def test_store_goes_on_from_a_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_source, "BATCH_ROWS", 10)
    source = StoreSource(make_store(tmp_path / "store"), DEFAULTS, torch.device("cpu"))
    whole = list(source.batches([1], None))
    rest = list(source.batches([1], whole[0].cursor))
    assert joined(rest, "numbers").tolist() == list(range(10, 40))


@pytest.mark.parametrize(("limits", "rows"), [({"max_tokens": 25}, 25), ({"max_texts": 2}, 14)])
def test_store_limits(tmp_path: Path, limits: dict[str, int], rows: int) -> None:
    source = StoreSource(make_store(tmp_path / "store"), settings(**limits), torch.device("cpu"))
    assert sum(len(batch.rows) for batch in source.batches([1], None)) == rows
    assert source.total_rows == rows


def test_probe_gives_whole_windows(tmp_path: Path) -> None:
    source = StoreSource(make_store(tmp_path / "store"), DEFAULTS, torch.device("cpu"))
    assert [len(window) for window in source.probe(25)] == [10, 10]


def test_store_of_another_model_is_refused(workspace: Workspace, demo_model: Any) -> None:
    make_store(workspace.store)
    with pytest.raises(ConflictError) as raised:
        open_source(
            StageRequest(ModelSettings(), CorpusSettings(), DEFAULTS, workspace), demo_model
        )
    assert set(raised.value.fields) == {"model", "weights_sha256", "tokenizer_sha256"}


def test_no_store_is_said(workspace: Workspace, demo_model: Any) -> None:
    with pytest.raises(StateError):
        open_source(
            StageRequest(ModelSettings(), CorpusSettings(), DEFAULTS, workspace), demo_model
        )
