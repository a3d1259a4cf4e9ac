"""What `run` says of its stages: each thing once, with its numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.support.settings import small_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ended


def test_few_documents_are_said_once_and_rows_left_out_are_counted(
    tiny_model: Path, texts: Path, ghosttrack: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "ghosttrack.toml").write_text(small_settings())
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(texts.read_text().splitlines()[:9]) + "\n")
    source = ("--model", tiny_model, "--corpus", few, "--layers", "0", "--tokens", "2k")
    ended = ghosttrack("run", *source)
    assert ended.code == 0, ended.err
    assert ended.err.count("metrics on so few say little") == 1
    said = re.search(r"on ([\d,]+) of ([\d,]+) rows of the store; left out: (.+)", ended.out)
    assert said is not None, ended.out
    counted, rows = (int(number.replace(",", "")) for number in said.groups()[:2])
    kinds = {
        kind.removesuffix("s"): int(number.replace(",", ""))
        for number, kind in re.findall(r"([\d,]+) ([a-z ]+)", said[3])
    }
    assert kinds.keys() <= {"window start", "special token", "outlier"}
    assert kinds["window start"] == -(-rows // 32)
    assert sum(kinds.values()) == rows - counted


def test_extract_alone_says_what_training_will_hold_out(
    tiny_model: Path, texts: Path, ghosttrack: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "ghosttrack.toml").write_text(small_settings())
    source = ("--model", tiny_model, "--corpus", texts, "--layers", "0", "--tokens", "600")
    assert ghosttrack("extract", *source).err.count("metrics on so few say little") == 1


def test_the_help_of_the_demo_names_no_option_that_it_refuses(
    ghosttrack: Callable[..., Ended],
) -> None:
    shown = ghosttrack("demo", "--help").out
    assert "--workspace" in shown
    assert "--config" not in shown
    refused = ghosttrack("demo", "--config", "mine.toml")
    assert refused.code == 2
    assert refused.what == "demo uses its own settings file"


def test_a_plan_knows_that_a_small_text_has_fewer_tokens_than_asked(
    tiny_model: Path, texts: Path, ghosttrack: Callable[..., Ended], tmp_path: Path
) -> None:
    """Whatever the run stores is within what its plan said."""
    (tmp_path / "ghosttrack.toml").write_text(small_settings())
    source = ("--model", tiny_model, "--corpus", texts, "--layers", "0")
    plan = ghosttrack("extract", *source, "--tokens", "1M", "--dry-run", "--json").document["plan"]
    assert plan["most_tokens"] < 100_000
    shown = ghosttrack("extract", *source, "--tokens", "1M", "--dry-run").out
    assert f"the text has at most about {plan['most_tokens']:,}" in shown
    stored = ghosttrack("extract", *source, "--tokens", "1M", "--json").document["rows"]
    assert 0.5 * plan["most_tokens"] < stored <= plan["most_tokens"]
    other = ghosttrack("extract", *source, "--tokens", "1k", "--dry-run", "--json", "--overwrite")
    assert other.document["plan"]["most_tokens"] is None


@pytest.mark.parametrize("more", [(), ("--tokens", "1M"), ("--layers", "0,2")])
def test_a_run_on_a_text_that_has_ended_can_be_repeated(
    tiny_model: Path,
    texts: Path,
    ghosttrack: Callable[..., Ended],
    tmp_path: Path,
    more: tuple[str, ...],
) -> None:
    """It was asked for more rows than there are, and has all of them."""
    (tmp_path / "ghosttrack.toml").write_text(small_settings())
    source = ("--model", tiny_model, "--corpus", texts, "--layers", "0", "--tokens", "500k")
    assert ghosttrack("run", *source).code == 0
    planned = ghosttrack("run", *more, "--dry-run")
    assert planned.code == 0, planned.err
    again = ghosttrack("run", *more)
    assert again.code == 0, again.err
    assert "layer 0: already trained, nothing to do" in again.err
