"""What `--dry-run` says is what the run does: the same action, and the same end."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.files import tree

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


def test_a_run_over_more_rows_than_were_trained_on_names_both_commands(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack(*extract).code == 0
    assert ghosttrack("train", *TRAIN).code == 0
    _, ran = planned_then_run(ghosttrack, "run", "--tokens", "4k")
    assert ran.code == 3
    error = ran.document["error"]
    assert error["what"].splitlines()[0] == "a layer was trained on 3,000 rows, 4,000 are asked for"
    for command in error["hint"].split(", then "):
        assert ghosttrack(*shlex.split(command)[1:], "--yes").code == 0, command
    assert ghosttrack("run", "--tokens", "4k").code == 0
    _, ran = planned_then_run(ghosttrack, "run", "--tokens", "5k", "--workspace", str(DATA))
    assert ran.document["error"]["hint"].count(f"--workspace {DATA}") == 2
