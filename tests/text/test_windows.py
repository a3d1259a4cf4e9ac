from __future__ import annotations

import json
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghosttrack_cli.errors import ConflictError, CorpusError, CorruptionError, Stopped
from ghosttrack_cli.monitor import Monitor
from ghosttrack_cli.text.cursor import Cursor
from ghosttrack_cli.text.local import LocalCorpus
from ghosttrack_cli.text.tokens import Encoder
from ghosttrack_cli.text.windows import TokenWindows, WindowBatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

END = 256


def windows_of(
    corpus: Any, tokenizer: Any, T: int, B: int, cursor: Any = None
) -> list[WindowBatch]:
    return list(TokenWindows(corpus, tokenizer, context_length=T, batch_size=B, cursor=cursor))


def brute_force(texts: list[str], tokenizer: Any, T: int) -> list[tuple[list[int], list[int]]]:
    """Windows as (ids, document ids), token by token."""
    stream = [
        (token, document)
        for document, text in enumerate(texts)
        for token in [*tokenizer(text, split_special_tokens=True)["input_ids"], END]
    ]
    windows = []
    while stream:
        part, stream = stream[: T - 1], stream[T - 1 :]
        windows.append(
            ([END, *(token for token, _ in part)], [part[0][1], *(owner for _, owner in part)])
        )
    return windows


def flat(batches: list[WindowBatch]) -> list[tuple[list[int], list[int]]]:
    return [
        (ids.tolist(), owners.tolist())
        for batch in batches
        for ids, owners in zip(batch.input_ids, batch.doc_ids, strict=True)
    ]


def same(one: WindowBatch, other: WindowBatch) -> bool:
    return (
        one.input_ids.tobytes() == other.input_ids.tobytes()
        and one.doc_ids.tobytes() == other.doc_ids.tobytes()
        and one.positions.tobytes() == other.positions.tobytes()
        and one.input_ids.shape == other.input_ids.shape
        and one.cursor_before == other.cursor_before
        and one.index == other.index
    )


def test_two_documents_by_hand(list_corpus: Any, byte_tokenizer: Any) -> None:
    tokens = [byte_tokenizer.convert_tokens_to_ids(character) for character in "abcde"]
    a, b, c, d, e = tokens
    first, last = windows_of(list_corpus(["abc", "de"]), byte_tokenizer, T=4, B=2)
    assert first.input_ids.tolist() == [[END, a, b, c], [END, END, d, e]]
    assert first.doc_ids.tolist() == [[0, 0, 0, 0], [0, 0, 1, 1]]
    assert first.positions.tolist() == [[0, 1, 2, 3]] * 2
    assert last.input_ids.tolist() == [[END, END]]
    assert last.doc_ids.tolist() == [[1, 1]]
    assert (first.index, last.index) == (0, 1)
    kinds = [str(values.dtype) for values in (first.input_ids, first.doc_ids, first.positions)]
    assert kinds == ["int64", "int64", "int32"]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
TEXTS = st.lists(TEXT, min_size=1, max_size=12)
quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(texts=TEXTS, T=st.integers(2, 17), B=st.integers(1, 5))
def test_windows_equal_a_packing_token_by_token(
    texts: list[str], T: int, B: int, list_corpus: Any, byte_tokenizer: Any
) -> None:
    batches = windows_of(list_corpus(texts), byte_tokenizer, T, B)
    assert flat(batches) == brute_force(texts, byte_tokenizer, T)
    shapes = [batch.input_ids.shape for batch in batches]
    full = [shape for shape in shapes if shape[1] == T]
    assert all(shape == (B, T) for shape in full[:-1])
    assert shapes in (full, [*full, shapes[-1]])
    assert [batch.index for batch in batches] == list(range(len(batches)))


@quick
@given(texts=TEXTS, T=st.integers(2, 9), B=st.integers(1, 3))
def test_every_cursor_gives_the_same_batches_again(
    texts: list[str], T: int, B: int, list_corpus: Any, byte_tokenizer: Any
) -> None:
    corpus = list_corpus(texts)
    whole = windows_of(corpus, byte_tokenizer, T, B)
    for number, batch in enumerate(whole):
        cursor = json.loads(json.dumps(batch.cursor_before))
        again = windows_of(corpus, byte_tokenizer, T, B, cursor)
        assert len(again) == len(whole) - number
        assert all(same(one, other) for one, other in zip(again, whole[number:], strict=True))


@pytest.mark.parametrize("kind", ["txt", "jsonl", "parquet", "mixed"])
def test_cursors_of_files_give_the_same_batches_again(
    kind: str, write_corpus: Callable[[str, list[str]], Path], byte_tokenizer: Any
) -> None:
    generator = random.Random(0)
    texts = ["".join(generator.choices("ab cé\n", k=generator.randint(1, 300))) for _ in range(60)]
    corpus = LocalCorpus(write_corpus(kind, texts), min_characters=10)
    whole = windows_of(corpus, byte_tokenizer, T=32, B=4)
    for number in generator.sample(range(len(whole)), 8):
        again = windows_of(corpus, byte_tokenizer, 32, 4, whole[number].cursor_before)
        assert all(same(one, other) for one, other in zip(again, whole[number:], strict=True))


def test_what_looks_like_a_special_token_stays_text(list_corpus: Any, byte_tokenizer: Any) -> None:
    text = "a<|endoftext|>b"
    assert byte_tokenizer(text)["input_ids"].count(END) == 1
    (batch,) = windows_of(list_corpus([text]), byte_tokenizer, T=64, B=1)
    assert batch.input_ids[0].tolist().count(END) == 2
    assert batch.input_ids.shape == (1, len(text) + 2)
    assert byte_tokenizer.decode(batch.input_ids[0, 1:-1]) == text
    assert byte_tokenizer(text)["input_ids"].count(END) == 1


def test_a_document_larger_than_memory_allows_is_cut_the_same_way_anywhere(
    list_corpus: Any, byte_tokenizer: Any
) -> None:
    text = "word and\n" * 300_000
    corpus = list_corpus(["before", text, "after"])
    T, B = 1024, 128
    whole = windows_of(corpus, byte_tokenizer, T, B)
    tokens: NDArray[np.int64] = np.concatenate([batch.input_ids[:, 1:].ravel() for batch in whole])
    assert len(tokens) == len("before") + len(text) + len("after") + 3
    again = windows_of(corpus, byte_tokenizer, T, B, whole[9].cursor_before)
    assert all(same(one, other) for one, other in zip(again, whole[9:], strict=True))


def test_a_changed_document_in_progress_is_refused(list_corpus: Any, byte_tokenizer: Any) -> None:
    texts = ["first text", "second text", "third"]
    whole = windows_of(list_corpus(texts), byte_tokenizer, T=5, B=1)
    cursor = next(b.cursor_before for b in whole if b.cursor_before["offset"])
    for changed in (["other text", *texts[1:]], []):
        with pytest.raises(ConflictError, match="document 0"):
            windows_of(list_corpus(changed), byte_tokenizer, 5, 1, cursor)


def test_another_corpus_is_refused_field_by_field(list_corpus: Any, byte_tokenizer: Any) -> None:
    (batch,) = windows_of(list_corpus(["text"]), byte_tokenizer, T=9, B=1)
    with pytest.raises(ConflictError) as caught:
        windows_of(list_corpus(["text"], name="other"), byte_tokenizer, 9, 1, batch.cursor_before)
    assert caught.value.fields == {"corpus.kind": ("list", "other")}


@pytest.mark.parametrize("value", [None, 7, {}, {"schema": 2}, {"schema": 1, "offset": -1}])
def test_what_is_no_cursor_is_refused(value: Any) -> None:
    with pytest.raises(CorruptionError, match="not a cursor"):
        Cursor.from_json(value)


def test_errors_of_the_corpus_cross_over_and_the_thread_ends(
    list_corpus: Any, byte_tokenizer: Any
) -> None:
    def fail(place: int) -> None:
        if place == 2:
            raise CorpusError("broken")

    with pytest.raises(CorpusError, match="broken"):
        windows_of(list_corpus(["one", "two", "three"], fail), byte_tokenizer, T=4, B=1)
    assert not _threads()


@pytest.mark.parametrize("spare_cores", [False, True])
def test_text_is_tokenised_beside_the_caller_only_on_spare_cores(
    list_corpus: Any,
    byte_tokenizer: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    spare_cores: bool,
) -> None:
    texts = [f"document {number} " * 300 for number in range(30)]
    places: set[str] = set()
    encode = Encoder.encode

    def noted(encoder: Encoder, texts: list[str]) -> Any:
        places.add(threading.current_thread().name)
        return encode(encoder, texts)

    monkeypatch.setattr(Encoder, "encode", noted)
    windows = TokenWindows(
        list_corpus(texts), byte_tokenizer, context_length=64, batch_size=8, spare_cores=spare_cores
    )
    assert flat(list(windows)) == brute_force(texts, byte_tokenizer, 64)
    assert places == {"text-ahead" if spare_cores else threading.current_thread().name}


def test_closing_early_ends_the_thread(list_corpus: Any, byte_tokenizer: Any) -> None:
    corpus = list_corpus(["some text " * 100_000] * 50)
    with TokenWindows(corpus, byte_tokenizer, context_length=64, batch_size=8) as windows:
        batches = iter(windows)
        next(batches)
        assert _threads()
    deadline = time.monotonic() + 5
    while _threads() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _threads()


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "text-ahead"]


def test_a_signal_ends_the_wait_for_text(list_corpus: Any, byte_tokenizer: Any) -> None:
    gone_on = threading.Event()
    corpus = list_corpus(["text"], lambda _: gone_on.wait(20))
    monitor = Monitor(stop_signal=lambda: 2)
    windows = TokenWindows(corpus, byte_tokenizer, context_length=4, batch_size=1, monitor=monitor)
    threading.Timer(0.5, gone_on.set).start()
    with pytest.raises(Stopped):
        next(iter(windows))


def test_reading_runs_only_a_bounded_way_ahead(list_corpus: Any, byte_tokenizer: Any) -> None:
    read: list[int] = []
    corpus = list_corpus(["x" * 2**19] * 100, read.append)
    with TokenWindows(corpus, byte_tokenizer, context_length=64, batch_size=8) as windows:
        batches = iter(windows)
        next(batches)
        time.sleep(1)
        assert len(read) < 20
