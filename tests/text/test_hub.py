from __future__ import annotations

import json
import shutil
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.hub.repositories import CONFIGS, articles

from ghosttrack_cli.errors import ConflictError, CorpusError, CorruptionError, HubError
from ghosttrack_cli.hub import errors
from ghosttrack_cli.settings.schema import CorpusSettings
from ghosttrack_cli.text import retry
from ghosttrack_cli.text.corpus import open_corpus
from ghosttrack_cli.text.hub import HubCorpus, HubStream, WikipediaCorpus
from ghosttrack_cli.text.retry import RetryingStream
from ghosttrack_cli.text.truthfulqa import load_truthfulqa
from ghosttrack_cli.text.windows import TokenWindows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Clock
    from tests.hub.server import FaultKind, Hub

SIMPLE = CONFIGS["20231101.simple"][0]
KEPT = [text for text in articles(SIMPLE, seed=1) if len(text) >= 100]
PARQUET = "train-00000"


def simple(**options: Any) -> WikipediaCorpus:
    return WikipediaCorpus(language="simple", **options)


def test_wikipedia_gives_the_articles_above_the_limit_in_order(hub_here: Hub) -> None:
    documents = list(simple().documents())
    assert [document.text for document in documents] == KEPT
    assert [document.id for document in documents] == list(range(len(KEPT)))
    assert len(KEPT) < SIMPLE


def test_the_seeds_interface(hub_here: Hub) -> None:
    corpus = simple().load()
    with pytest.warns(UserWarning, match=r"^skipped: 1 short text of fewer than 100 characters"):
        assert corpus.get_texts(3) == KEPT[:3]
    with pytest.warns(UserWarning, match=r"^skipped: 1 short text of .*\(min_characters\)"):
        batches = list(corpus.get_text_batches(batch_size=16))
    assert [len(batch) for batch in batches] == [16, 16, len(KEPT) - 32]
    assert sum(batches, []) == KEPT  # noqa: RUF017
    with pytest.warns(UserWarning, match="^skipped: 1 short text "):
        assert list(corpus.get_text_batches(batch_size=4, max_batches=2)) == [KEPT[:4], KEPT[4:8]]


def test_a_stream_stopped_at_any_document_goes_on_with_the_next(hub_here: Hub) -> None:
    corpus = simple()
    whole = list(corpus.documents())
    stream = corpus.documents()
    for taken in range(0, len(whole), 5):
        state = json.loads(json.dumps(stream.state()))
        once = corpus.documents(state)
        assert next(once) == whole[taken]
        twice = corpus.documents(json.loads(json.dumps(once.state())))
        assert list(twice) == whole[taken + 1 :]
        for _ in range(5):
            next(stream, None)


@pytest.mark.parametrize(
    "state", [{"rows": {}, "document": 3}, {}, [], {"file": -1, "row": 0, "document": 0}]
)
def test_what_is_no_place_is_refused(state: Any, hub_here: Hub) -> None:
    with pytest.raises(CorruptionError, match="not a valid position in a hub data set"):
        simple().documents(state)


def test_a_place_says_nothing_of_where_it_was_resumed(hub_here: Hub) -> None:
    corpus = WikipediaCorpus()
    stream = corpus.documents()
    while next(stream, None) is not None:
        resumed = corpus.documents(stream.state())
        assert next(resumed, None) == next(stream, None)
        assert resumed.state() == stream.state()


def test_it_reads_on_across_files(hub_here: Hub) -> None:
    corpus = WikipediaCorpus()
    state = corpus.documents().state()
    count, files = CONFIGS["20231101.en"]
    expected = [text for text in articles(count, seed=0) if len(text) >= 100]
    stream = corpus.documents(state)
    found = [next(stream).text for _ in range(len(expected) // files + 5)]
    rest = corpus.documents(stream.state())
    assert found + [document.text for document in rest] == expected


def test_the_identity_names_the_commit_and_the_files(hub_here: Hub) -> None:
    identity = simple().identity()
    commit = hub_here.commit("datasets", "wikimedia/wikipedia")
    assert (identity["repository"], identity["config"]) == (
        "wikimedia/wikipedia",
        "20231101.simple",
    )
    assert (identity["commit"], identity["split"], identity["files"]) == (commit, "train", 1)
    assert WikipediaCorpus().identity()["files"] == 3
    assert WikipediaCorpus().identity()["sha256"] != identity["sha256"]


def test_open_corpus_knows_wikipedia_and_any_other_data_set(hub_here: Hub) -> None:
    corpus = open_corpus(CorpusSettings(language="simple"))
    assert next(corpus.documents()).text == KEPT[0]
    settings = CorpusSettings(
        source="truthfulqa/truthful_qa",
        config="generation",
        split="validation",
        column="question",
        min_characters=10,
    )
    assert next(open_corpus(settings).documents()).text.startswith("What is the colour")


def test_a_resumed_run_stays_at_its_commit(tmp_path: Path, hub_root: Path, hub_here: Hub) -> None:
    recorded = {"repository": "wikimedia/wikipedia", "commit": "0" * 40}
    corpus = open_corpus(CorpusSettings(language="simple"), recorded=recorded)
    assert isinstance(corpus, HubCorpus)
    assert corpus.revision == "0" * 40
    with pytest.raises(HubError, match=r"does not have the data set .* \(HTTP 404\)"):
        corpus.identity()
    other = open_corpus(CorpusSettings(source="some/other"), recorded=recorded)
    assert isinstance(other, HubCorpus)
    assert other.revision is None


def test_a_local_folder_of_the_same_name_is_not_read_instead(
    hub_here: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wikimedia" / "wikipedia").mkdir(parents=True)
    (tmp_path / "wikimedia" / "wikipedia" / "x.txt").write_text("local text " * 20)
    monkeypatch.chdir(tmp_path)
    assert next(simple().documents()).text == KEPT[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"date": "19990101"}, "19990101.simple"),
        ({"split": "test"}, "no split 'test'.* has train"),
        ({"column": "body"}, "no column 'body'.*'title', 'text'"),
        ({"min_characters": 10**6}, "blank or shorter than 1000000"),
    ],
)
def test_what_the_data_set_does_not_have_is_named(
    options: dict[str, Any], words: str, hub_here: Hub
) -> None:
    with pytest.raises(CorpusError, match=words):
        list(simple(**options).documents())


FAULTS: list[tuple[FaultKind, str]] = [
    (401, "refuses .* (HTTP 401)"),
    (403, "refuses .* (HTTP 403)"),
    (404, "does not have .* (HTTP 404)"),
    (429, "rate limit was reached (HTTP 429, for 1m00s)"),
    (500, "unavailable (HTTP 500)"),
    (503, "unavailable (HTTP 503)"),
    ("drop", "connection to the hub lost"),
    ("hang", "does not answer"),
]


@pytest.mark.parametrize(("kind", "words"), FAULTS, ids=[str(kind) for kind, _ in FAULTS])
def test_the_first_look_tells_faults_apart_within_ten_seconds(
    kind: FaultKind, words: str, hub_here: Hub
) -> None:
    hub_here.fail(kind)
    start = time.monotonic()
    with pytest.raises(HubError) as caught:
        simple().load()
    assert time.monotonic() - start < 10
    for part in words.split(".*"):
        assert part in caught.value.what
    assert "not found" not in caught.value.what
    assert caught.value.hint
    assert caught.value.transient is (kind not in {401, 403, 404})


def test_without_a_hub_the_error_points_to_what_works(
    hub_here: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    start = time.monotonic()
    for load in (simple().load, load_truthfulqa, lambda: errors.look_up("model", "gpt2")):
        with pytest.raises(HubError, match=r"offline: cannot reach the hub, http://127") as caught:
            load()
        for way in ("--model DIR", "--corpus PATH", "ghosttrack demo"):
            assert way in (caught.value.hint or "")
    assert time.monotonic() - start < 10


def test_offline_mode_is_named(hub_here: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        simple().load()


def test_a_name_server_that_is_silent_does_not_hold_it_up(
    hub_here: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "DEADLINE_SECONDS", 0.3)
    monkeypatch.setattr(errors, "REQUEST_SECONDS", 60.0)
    hub_here.fail("hang")
    with pytest.raises(HubError, match="does not answer"):
        errors.look_up("model", "gpt2")


def test_a_model_is_found_under_its_old_name(hub_here: Hub) -> None:
    found = errors.look_up("model", "gpt2")
    assert found.commit == hub_here.commit("models", "openai-community/gpt2")
    assert "model.safetensors" in found.files


@pytest.mark.parametrize("name", ["a/b/c", "../x", "", "a b", "x" * 300])
def test_what_cannot_be_a_name_is_refused(name: str, hub_here: Hub) -> None:
    with pytest.raises(HubError):
        errors.look_up("model", name)


@pytest.mark.parametrize("kind", [429, 503, "drop"])
def test_a_stream_goes_on_exactly_after_the_hub_was_lost(
    kind: FaultKind, hub_here: Hub, clock: Clock
) -> None:
    from ghosttrack_cli.monitor import Monitor

    notices: list[str] = []
    corpus = WikipediaCorpus()
    expected = list(corpus.documents())
    stream = RetryingStream(corpus, monitor=Monitor(notice=notices.append))
    found = [next(stream) for _ in range(3)]
    hub_here.fail(kind, path=".parquet", times=3)
    found += list(stream)
    assert found == expected
    assert notices[-1] == "the hub is back, resuming"
    assert all("trying again in" in notice for notice in notices[:-1])
    assert len(notices) > 1


def test_it_gives_up_after_the_set_time_and_says_why(hub_here: Hub, clock: Clock) -> None:
    corpus = WikipediaCorpus()
    stream = RetryingStream(corpus, retry_minutes=10)
    next(stream)
    hub_here.fail(503, path=".parquet")
    with pytest.raises(HubError, match="HTTP 503"):
        list(stream)
    assert 600 <= clock.now < 600 + 1.5 * retry.LONGEST_WAIT
    state = stream.state()
    hub_here.heal()
    whole = list(corpus.documents())
    rest = list(corpus.documents(state))
    assert whole[-len(rest) :] == rest


def test_what_will_not_pass_is_not_retried(hub_here: Hub, clock: Clock) -> None:
    stream = RetryingStream(WikipediaCorpus())
    next(stream)
    hub_here.fail(404, path=".parquet")
    with pytest.raises(HubError, match="HTTP 404"):
        list(stream)
    assert not clock.slept


def test_a_silent_hub_is_noticed_in_the_middle(
    hub_here: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ghosttrack_cli.hub.fail_fast.READ_SECONDS", 0.5)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    stream = WikipediaCorpus().documents()
    next(stream)
    hub_here.fail("hang", path=".parquet")
    with pytest.raises(HubError, match="does not answer"):
        list(stream)


def test_waits_double_with_jitter_up_to_a_minute(list_corpus: Any, clock: Clock) -> None:
    from ghosttrack_cli.monitor import Monitor

    failing = [True]

    def fail(place: int) -> None:
        if place == 1 and failing[0]:
            raise HubError("lost", transient=True)

    waits: list[float] = []
    last = [0.0]

    def notice(text: str) -> None:
        waits.append(clock.now - last[0])
        last[0] = clock.now

    corpus = list_corpus(["one", "two"], fail)
    stream = RetryingStream(corpus, monitor=Monitor(notice=notice), retry_minutes=10)
    next(stream)
    with pytest.raises(HubError, match="lost"):
        next(stream)
    base = [min(retry.FIRST_WAIT * 2**n, retry.LONGEST_WAIT) for n in range(len(waits) - 1)]
    factors = [wait / expected for wait, expected in zip(waits[1:], base, strict=True)]
    assert all(0.49 <= factor <= 1.51 for factor in factors)
    assert len({round(factor, 6) for factor in factors}) > 3
    failing[0] = False
    assert [document.text for document in stream] == ["two"]


def test_the_first_document_is_not_waited_for(list_corpus: Any, clock: Clock) -> None:
    def fail(place: int) -> None:
        raise HubError("lost", transient=True)

    with pytest.raises(HubError, match="lost"):
        next(RetryingStream(list_corpus(["one"], fail)))
    assert not clock.slept


def test_windows_of_the_hub_resume_and_refuse_another_commit(
    hub_root: Path, hub_here: Hub, tmp_path: Path, byte_tokenizer: Any, monkeypatch: Any
) -> None:
    def windows(cursor: Any = None) -> list[Any]:
        return list(
            TokenWindows(simple(), byte_tokenizer, context_length=256, batch_size=16, cursor=cursor)
        )

    whole = windows()
    cursor = json.loads(json.dumps(whole[5].cursor_before))
    again = windows(cursor)
    assert [batch.input_ids.tobytes() for batch in again] == [
        batch.input_ids.tobytes() for batch in whole[5:]
    ]
    copy = tmp_path / "hub"
    shutil.copytree(hub_root, copy)
    card = copy / "datasets" / "wikimedia" / "wikipedia" / "README.md"
    card.write_text(card.read_text() + "\nChanged.\n")
    monkeypatch.setattr(hub_here, "root", copy)
    with pytest.raises(ConflictError) as caught:
        windows(cursor)
    assert set(caught.value.fields) == {"corpus.commit", "corpus.sha256"}


def test_truthfulqa_comes_from_the_hub(hub_here: Hub) -> None:
    train, validation, test = load_truthfulqa()
    assert (len(train), len(validation), len(test)) == (48, 6, 6)
    assert train[0].hallucinated_answer.endswith("is green")


LONG = "a text that is long enough to be kept, " * 4
HALF = b"half \xed\xa0\x80 pair, " + LONG.encode()
"""A lone surrogate as the bytes that UTF-8 would have for it."""


def jsonl_with_half_a_pair(folder: Path) -> None:
    lines = [json.dumps({"text": LONG})] * 3 + [json.dumps({"text": f"\ud800 {LONG}"})]
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")


def parquet_with_half_a_pair(folder: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    data = pa.array([LONG.encode()] * 3 + [HALF], pa.binary())
    text = pa.Array.from_buffers(pa.string(), len(data), data.buffers())
    parquet.write_table(pa.table({"text": text}), folder / "train.parquet")


def lines_with_half_a_pair(folder: Path) -> None:
    lines = [LONG.encode()] * 3 + [HALF]
    (folder / "train.txt").write_bytes(b"\n".join(lines) + b"\n")


def csv_with_half_a_pair(folder: Path) -> None:
    lines = [b"text", *[f'"{LONG}"'.encode()] * 3, HALF.replace(b",", b"")]
    (folder / "train.csv").write_bytes(b"\n".join(lines) + b"\n")


def damaged_parquet(folder: Path) -> None:
    (folder / "train.parquet").write_bytes(b"PAR1" + bytes(400) + b"PAR1")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "write",
    [
        jsonl_with_half_a_pair,
        parquet_with_half_a_pair,
        lines_with_half_a_pair,
        csv_with_half_a_pair,
        damaged_parquet,
    ],
)
def test_text_that_the_library_cannot_read_ends_in_a_sentence(
    write: Callable[[Path], None], hub_here: Hub, hub_root: Path
) -> None:
    name = write.__name__.replace("_", "-")
    folder = hub_root / "datasets" / "some" / name
    folder.mkdir(parents=True)
    write(folder)
    with pytest.raises(CorpusError) as caught:
        list(HubCorpus(f"some/{name}", min_characters=5).documents())
    assert f"the data set 'some/{name}'" in caught.value.what
    assert "--corpus FOLDER" in str(caught.value.hint)


def test_half_a_surrogate_pair_that_the_library_hands_on_is_replaced_and_counted(
    hub_here: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = simple()
    halves = [{"text": f"half \ud800 pair {number} {LONG}"} for number in range(3)]
    monkeypatch.setattr(HubStream, "_open", lambda _: iter(halves))
    stream = corpus.documents()
    assert [one.text[:10] for one in stream] == ["half \ufffd pai"] * 3
    assert stream.state()["replaced"] == 3
