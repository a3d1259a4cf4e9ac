"""What `--dry-run` says is what the run does: the same action, and the same end."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.files import tree

from ghosttrack_cli.extraction import checks
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.store.format.identity import check_identity
from ghosttrack_cli.store.format.layout import previous_path
from ghosttrack_cli.text import corpus

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended

VARYING = {".log", ".lock"}
"""Not equal after equal runs: when they ran, and who held a lock last."""
DATA = Path("ghosttrack-data")
TRAIN = ("--d-hidden", "48", "--target-l0", "5", "--epochs", "1")


@pytest.fixture
def extract(tiny_model: Path, texts: Path, environment: None) -> tuple[str, ...]:
    return (
        "extract", "--model", str(tiny_model), "--corpus", str(texts), "--layers", "0,2",
        "--tokens", "3k", "--context-length", "32", "--batch-size", "4",
    )  # fmt: skip


def planned_then_run(ghosttrack: Callable[..., Ended], *command: str) -> tuple[Ended, Ended]:
    """A plan, which changes nothing, and the run after it: both end alike."""
    before = tree(Path.cwd(), without=VARYING)
    plan = ghosttrack(*command, "--dry-run", "--json")
    assert tree(Path.cwd(), without=VARYING) == before, command
    ran = ghosttrack(*command, "--json", *(("--yes",) if "--overwrite" in command else ()))
    assert plan.code == ran.code, (command, plan.err, ran.err)
    if ran.code:
        refused = plan.document.get("refused") or plan.document["error"]
        assert refused["what"] == ran.document["error"]["what"]
        assert refused["hint"] == ran.document["error"]["hint"]
        assert tree(Path.cwd(), without=VARYING) == before, command
    return plan, ran


def bad_texts(name: str) -> Path:
    """Texts that no extraction can be made from."""
    path = Path(name)
    content = {
        "column.jsonl": json.dumps({"body": "no column of that name " * 20}) + "\n",
        "short.jsonl": json.dumps({"text": "short"}) + "\n",
        "empty.jsonl": "",
        "broken.jsonl": '{"text": "never ends\n',
    }
    path.write_text(content[name])
    return path


BAD = ("column.jsonl", "short.jsonl", "empty.jsonl", "broken.jsonl")


def test_extraction(extract: tuple[str, ...], ghosttrack: Callable[..., Ended]) -> None:
    plan, ran = planned_then_run(ghosttrack, *extract)
    assert plan.document["plan"]["action"] == "start"
    assert plan.document["plan"]["seconds"] > 0
    assert ran.document["rows"] == plan.document["plan"]["rows"]
    for change, action in (
        ((), "nothing"),
        (("--layers", "1"), "add layers"),
        (("--tokens", "4k"), "continue"),
    ):
        plan, ran = planned_then_run(ghosttrack, *extract, *change)
        assert plan.document["plan"]["action"] == action
        assert ran.code == 0
    for refused in (("--context-length", "16"), ("--compress", "zstd"), ("--batch-size", "3")):
        plan, ran = planned_then_run(ghosttrack, *extract, *refused)
        assert ran.code == 3, refused
    for refused in (("--layers", "7"), ("--context-length", "64"), ("--device", "mps")):
        plan, ran = planned_then_run(ghosttrack, *extract, *refused)
        assert ran.code == 2, refused


def test_the_plan_counts_what_the_run_leaves_out(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    folder = Path("corpus")
    folder.mkdir()
    (folder / "notes.md").write_text("no text")
    (folder / "short.txt").write_text("short")
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"text {number} " * 400)
    plan, ran = planned_then_run(ghosttrack, *extract, "--corpus", str(folder), "--tokens", "1M")
    text = plan.document["plan"]["text"]
    assert text.pop("whole") is True
    assert text == ran.document["text"]
    assert (text["documents"], text["short"], text["files_in_other_formats"]) == (5, 1, 1)
    assert "training will hold out some of only 5 documents" in plan.err
    assert "training holds out 1 of 5 documents" in ran.err
    for ended in (plan, ran):
        assert "skipped: 1 short text of fewer than 100 characters (--min-characters)" in ended.err
        assert "skipped: 1 file in other formats (.md)" in ended.err


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("overwrite", [False, True])
def test_bad_texts_lose_nothing(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended], name: str, overwrite: bool
) -> None:
    if overwrite:
        assert ghosttrack(*extract).code == 0
    flags = ("--overwrite",) if overwrite else ()
    _, ran = planned_then_run(ghosttrack, *extract, "--corpus", str(bad_texts(name)), *flags)
    assert ran.code == 1
    if overwrite:
        assert ghosttrack("status", "--json").document["store"]["rows"] == 3000


def test_a_disk_that_is_too_small(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ghosttrack_cli.files.free_bytes", lambda _: 1000)
    _, ran = planned_then_run(ghosttrack, *extract)
    assert ran.code == 1
    assert "not enough disk space" in ran.document["error"]["what"]


def test_training(extract: tuple[str, ...], ghosttrack: Callable[..., Ended]) -> None:
    assert ghosttrack(*extract).code == 0
    plan, ran = planned_then_run(ghosttrack, "train", "--layers", "0", *TRAIN)
    (layer,) = plan.document["plan"]
    assert plan.document["seconds"] > 0
    assert ran.document["layers"]["0"]["step"] == pytest.approx(layer["total_steps"], rel=0.2)
    plan, ran = planned_then_run(ghosttrack, "train", "--layers", "0")
    assert (plan.document["seconds"], ran.code) == (0.0, 0)
    for change, code in (
        (("--d-hidden", "64"), 3),
        (("--target-l0", "6"), 3),
        (("--layers", "1"), 2),
        (("--target-l0", "5000"), 2),
        (("--log-to", "nothing"), 2),
        (("--layers", "0,2", "--d-hidden", "64"), 3),
        (("--layers", "2", "--d-hidden", "64"), 0),
    ):
        _, ran = planned_then_run(ghosttrack, "train", *change)
        assert ran.code == code, change
    plan, ran = planned_then_run(
        ghosttrack, "train", "--layers", "0", "--d-hidden", "64", "--overwrite"
    )
    assert ran.code == 0
    assert ran.document["layers"]["0"]["expected"]["d_hidden"] == 64


@pytest.mark.parametrize(
    "wrong",
    [
        ("--target-l0", "5000"),
        ("--texts", "typo.txt"),
        ("--layers", "9"),
        ("--log-to", "nothing"),
        ("--device", "mps"),
    ],
)
def test_run_refuses_before_it_begins(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended], wrong: tuple[str, ...]
) -> None:
    command = ("run", *extract[1:-2], *TRAIN)
    _, ran = planned_then_run(ghosttrack, *command, *wrong)
    assert ran.code in {1, 2}
    assert not DATA.exists()


def test_run_does_what_was_asked_and_nothing_else(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack(*extract).code == 0
    command = ("run", *TRAIN, "--layers", "2")
    plan, ran = planned_then_run(ghosttrack, *command)
    assert ran.code == 0, ran.err
    assert [one["layer"] for one in plan.document["plan"]["train"]["plan"]] == [2]
    assert list(ran.document["train"]["layers"]) == ["2"]
    status = ghosttrack("status", "--json").document
    assert [one["layer"] for one in status["layers"] if one["training"]] == [2]
    grown = planned_then_run(ghosttrack, *command, "--tokens", "4k")[1]
    assert grown.code == 3  # layer 2 was trained on fewer rows: known before anything is added
    assert ghosttrack("status", "--json").document["store"]["rows"] == 3000


def test_a_run_looks_at_the_texts_and_the_store_once(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def counting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            looked.append(name)
            return real(*arguments, **options)

        return call

    monkeypatch.setattr(corpus, "open_corpus", counting("texts", corpus.open_corpus))
    monkeypatch.setattr(checks, "check_identity", counting("store", check_identity))
    command = ("run", *extract[1:-2], *TRAIN)
    assert ghosttrack(*command).code == 0
    assert looked == ["texts"]
    looked.clear()
    assert ghosttrack(*command).code == 0
    assert sorted(looked) == ["store", "texts"]


def test_a_run_says_how_long_interpretation_takes(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    command = ("run", *extract[1:-2], *TRAIN, "--dry-run")
    first = ghosttrack(*command, "--json").document["plan"]["interpret"]
    assert first["seconds"] > 0
    assert (first["layers"], first["todo"], first["made_up"]) == ([0, 2], [0, 2], [0, 2])
    assert "from made-up SAEs of layers 0,2\n" in ghosttrack(*command).out
    assert ghosttrack(*extract).code == 0
    assert ghosttrack("train", "--layers", "0", *TRAIN).code == 0
    partly = ghosttrack(*command, "--json").document["plan"]["interpret"]
    assert (partly["todo"], partly["made_up"]) == ([0, 2], [2])
    assert ghosttrack("interpret", "--layers", "0").code == 0
    done = ghosttrack(*command, "--layers", "0", "--json").document["plan"]["interpret"]
    assert (done["todo"], done["made_up"], done["seconds"]) == ([], [], 0.0)


def test_interpreting_again_is_planned_as_such(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack("run", *extract[1:-2], *TRAIN, "--layers", "0").code == 0
    assert ghosttrack("interpret", "--dry-run", "--json").document["plan"]["todo"] == []
    again = ghosttrack("interpret", "--dry-run", "--overwrite", "--json").document["plan"]
    assert again["todo"] == [0]


def test_an_overwrite_says_what_it_deletes(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack(*extract).code == 0
    command = (*extract, "--tokens", "2k", "--overwrite")
    assert "3,000 rows of layers 0,2, " in ghosttrack(*command, "--dry-run").out
    assert "3,000 rows of layers 0,2, " in ghosttrack(*command).error[0]
    plan, ran = planned_then_run(ghosttrack, *command)
    assert plan.document["plan"]["replaces"]["layers"] == [0, 2]
    assert plan.document["plan"]["replaces"]["rows"] == 3000
    assert ran.document["rows"] == 2000


def test_an_overwrite_that_fails_early_changes_nothing(
    extract: tuple[str, ...],
    ghosttrack: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert ghosttrack(*extract).code == 0
    before = tree(DATA, without=VARYING)
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"text": "Other words, and more of them than are needed. " * 90}))
    with monkeypatch.context() as patch:
        patch.setattr(ResidualModel, "residuals", no_memory)
        refused = ghosttrack(*extract, "--corpus", str(other), "--overwrite", "--yes")
    assert refused.code == 1
    assert "the earlier one, 3,000 rows, is kept" in refused.err
    assert tree(DATA, without=VARYING) == before  # what is remembered, too
    assert "nothing to do" in ghosttrack("extract").err


def test_an_overwrite_that_was_killed_is_seen_by_what_comes_next(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack(*extract).code == 0
    before, store = tree(DATA, without=VARYING), DATA / "activations.zarr"
    store.rename(previous_path(store))
    store.mkdir()
    status = ghosttrack("status", "--json")
    assert status.document["store"]["rows"] == 3000
    assert status.document["store"]["being_replaced"] is True
    assert "the earlier store is used" in status.err
    trained = ghosttrack("train", "--layers", "0", *TRAIN)
    assert trained.code == 0, trained.err
    assert "the earlier store is used" in trained.err
    assert ghosttrack("interpret", "--layers", "0").code == 0
    assert "the earlier store is used" in ghosttrack("extract", "--dry-run").err
    again = ghosttrack("extract")
    assert again.code == 0
    assert "ended before its first rows: the earlier one, 3,000 rows, is kept" in again.err
    now = tree(DATA, without=VARYING)
    assert {name: now[name] for name in before} == before
    assert "earlier store" not in ghosttrack("status").err


def no_memory(*_: object) -> None:
    raise MemoryError


def test_a_run_over_more_rows_than_were_trained_on_names_both_commands(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack(*extract).code == 0
    assert ghosttrack("train", *TRAIN).code == 0
    _, ran = planned_then_run(ghosttrack, "run", "--tokens", "4k")
    assert ran.code == 3
    error = ran.document["error"]
    assert error["what"].splitlines()[0] == "a layer was trained on 3,000 rows, 4,000 are requested"
    for command in error["hint"].split(", then "):
        assert ghosttrack(*shlex.split(command)[1:], "--yes").code == 0, command
    assert ghosttrack("run", "--tokens", "4k").code == 0
    _, ran = planned_then_run(ghosttrack, "run", "--tokens", "5k", "--workspace", str(DATA))
    assert ran.document["error"]["hint"].count(f"--workspace {DATA}") == 2
