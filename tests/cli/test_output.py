"""What reaches a terminal or a pipe: hostile text is inert, lines are whole, progress is told."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
import time
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghosttrack_cli.cli.actions.drawing import shade, sparkline, token_text
from ghosttrack_cli.cli.hints import shell_word
from ghosttrack_cli.cli.options import Options
from ghosttrack_cli.cli.session import Session
from ghosttrack_cli.cli.terminal import console as console_module
from ghosttrack_cli.cli.terminal.bars import frame
from ghosttrack_cli.cli.terminal.board import Board
from ghosttrack_cli.cli.terminal.console import Console
from ghosttrack_cli.cli.terminal.meter import Meter
from ghosttrack_cli.cli.terminal.output import (
    Column,
    Span,
    Table,
    line,
    plain,
    plain_table,
    visible,
    width,
)
from ghosttrack_cli.machine import clock as clocks
from ghosttrack_cli.monitor import Part, Progress, outline
from ghosttrack_cli.quantities import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE = "[bold]x[/s] :smile: \x1b]0;title\x07 \u202eright\u2069 \ud800 </a> [link=x]"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`clock(2.5)` moves the time on."""
    now = [0.0]

    def advance(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(clocks, "monotonic", lambda: now[0])
    return advance


def terminal(monkeypatch: pytest.MonkeyPatch, name: str, **environment: str) -> Terminal:
    for variable in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "GITHUB_ACTIONS"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in ({"TERM": "xterm-256color", "COLUMNS": "60"} | environment).items():
        monkeypatch.setenv(variable, value)
    stream = Terminal()
    monkeypatch.setattr(sys, name, stream)
    return stream


@given(st.text())
def test_visible_text_holds_nothing_that_acts(text: str) -> None:
    shown = visible(text)
    for char in shown:
        assert unicodedata.category(char) not in {"Cc", "Cs", "Zl", "Zp"}
        assert unicodedata.bidirectional(char) not in {"LRE", "RLE", "LRO", "RLO", "PDF"}
        assert unicodedata.bidirectional(char) not in {"LRI", "RLI", "FSI", "PDI"}
    assert visible(shown) == shown


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Mn"])))
def test_visible_leaves_writing_alone(text: str) -> None:
    assert visible(text) == text


def test_hostile_text_is_inert_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    Console().lines(HOSTILE)
    Console().table(Table((Column("a"),), (line(HOSTILE),)))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[bold]x[/s] :smile: " in out


def test_hostile_text_is_inert_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch, "stdout", COLUMNS="200")
    Console().lines(line(Span(HOSTILE, "bold")))
    Console().table(Table((Column("a"),), (line(HOSTILE),)))
    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.count("[bold]x[/s] :smile: ") == 2


def test_where_a_terminal_is_narrow_the_cut_column_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = terminal(monkeypatch, "stdout", COLUMNS="40", NO_COLOR="1")
    row = line("62.068%", "123,456,789", "' the' ' a' ' of' ' is'")
    Console().table(Table((Column("a"), Column("b"), Column("c", cut=True)), (row,)))
    (shown,) = [text for text in stream.getvalue().splitlines() if "62" in text]
    assert "62.068%  123,456,789" in shown
    assert shown.rstrip().endswith("…")
    assert len(shown) <= 40


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = terminal(monkeypatch, "stdout")
    Console().lines(line(Span("x", "red")))
    assert "\x1b[31m" in coloured.getvalue()
    plain = terminal(monkeypatch, "stdout", NO_COLOR="1")
    Console().lines(line(Span("x", "red")))
    assert plain.getvalue() == "x\n"


def test_lines_are_never_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    Console().lines("x" * 500)
    Console().table(Table((Column("a"), Column("b")), (line("y" * 300, "z"),)))
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["x" * 500, "a" + " " * 301 + "b", "y" * 300 + "  z"]


def test_columns_line_up_by_cells() -> None:
    table = Table((Column("k"), Column("n", "right")), (line("日本", "1"), line("e\u0301", "22")))
    assert plain_table(table) == ["k      n", "日本   1", "e\u0301     22"]
    assert width("日本e\u0301") == 5


def test_text_that_the_stream_cannot_encode(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    Console().lines("é日")
    stream.flush()
    assert stream.buffer.getvalue() == rb"\xe9\u65e5" + b"\n"


def test_json_has_no_nan_and_no_surrogates(capsys: pytest.CaptureFixture[str]) -> None:
    Console().document({"a": float("nan"), "b": [float("inf"), "\ud800"], "c": {1: (2,)}})
    out = capsys.readouterr().out
    assert out.isascii()
    assert '"a": null' in out
    assert "NaN" not in out


def test_an_error_has_its_lines_and_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    Console().error("it differs\n  a: 1 on disk, 2 requested", "do this")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: it differs\n  a: 1 on disk, 2 requested\nhint: do this\n"


def test_quiet_keeps_only_results_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True)
    console.notice("a")
    console.detail("b")
    with console.progress("train") as (_, report):
        report(Progress("x", 1, 1, "steps"))
    console.lines("result")
    console.error("wrong")
    assert capsys.readouterr() == ("result\n", "error: wrong\n")


LOADING, STEPS, WRITING = outline(("loading model", 1), ("steps", 8), ("writing", 1))


def test_progress_in_a_pipe_is_a_line_for_each_part_and_one_every_few_seconds(
    capsys: pytest.CaptureFixture[str], clock: Callable[[float], None]
) -> None:
    with Console().progress("train") as (begin, report):
        clock(2)
        begin(LOADING)
        clock(4)
        begin(STEPS)
        for step in range(1, 121):
            clock(0.125)
            report(Progress("steps", step * 1000, 120_000, "tokens", {"FVU": 0.12345}))
    assert capsys.readouterr().err.splitlines() == [
        "train: loading libraries",
        "train: loading model  2s so far",
        "train: steps  6s so far",
        "train: steps  40,000/120,000 tokens  33%  8.0k tokens/s  10s left  FVU 0.123  11s so far",
        "train: steps  80,000/120,000 tokens  66%  8.0k tokens/s  5s left  FVU 0.123  16s so far",
        "train: steps  120,000/120,000 tokens  100%  8.0k tokens/s  0s left  FVU 0.123  21s so far",
        "train: done in 21s",
    ]


def test_progress_without_a_total(
    capsys: pytest.CaptureFixture[str], clock: Callable[[float], None]
) -> None:
    with Console().progress("read") as (_, report):
        for step in range(3):
            clock(6)
            report(Progress("texts", step * 60, None, "texts"))
    last = capsys.readouterr().err.splitlines()[-2]
    assert last == "read: texts  120 texts  10 texts/s  18s so far"


def test_a_silent_part_is_told_too(
    capsys: pytest.CaptureFixture[str],
    clock: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console_module, "FRAME_SECONDS", 0.001)
    with Console().progress("interpret") as (begin, _):
        begin(Part("losses", of="layer 6"))
        said = ""
        for _ in range(2000):
            clock(6)
            time.sleep(0.01)
            said += capsys.readouterr().err
            if said.count("so far") >= 2:
                break
    assert "interpret layer 6: losses  6s so far\n" in said


def bottom(stream: Terminal) -> list[list[str]]:
    """The frames that were drawn at the bottom of a terminal, as lines without their styles."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    frames = re.split(r"(?:\r|\x1b\[2K|\x1b\[1A|\x1b\[\?25[lh])+", text)
    return [frame.split("\n") for frame in frames if frame.strip()]


def test_progress_on_a_terminal_keeps_notices_above_the_bar(
    monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]
) -> None:
    stream = terminal(monkeypatch, "stderr", COLUMNS="100", NO_COLOR="1")
    console = Console()
    with console.progress("extract") as (begin, report):
        begin(STEPS)
        for step in (1, 5, 10):
            clock(1)
            report(Progress("steps", step, 10, "tokens", {"stored": "0.1 MB"}))
            if step == 5:
                console.notice("a [bold]notice[/x]")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n")
    assert "note: a [bold]notice[/x]\n" in text
    assert text.rstrip().endswith("extract: done in 3s")


@pytest.mark.parametrize("columns", [50, 80, 120, 200])
def test_bars_keep_their_three_lines(columns: int, clock: Callable[[float], None]) -> None:
    board = Board("train")
    figures: dict[str, float | str] = {
        "1:": "L0 31.9 FVU 0.136",
        "4:": "L0 31.9 FVU 0.136",
        "loss": 0.1234,
    }
    seen = []
    for part in (LOADING, STEPS, WRITING):
        board.begin(part.within(Part("layers 10,11 (11-12 of 12)", 0.2, 0.3)))
        for done in (0, 1, 700_000, 5_000_000, 10_000_000):
            clock(70)
            seen.append(frame(board.standing(), columns))
            board.report(Progress(part.name, done, 10_000_000, "tokens", figures))
            seen.append(frame(board.standing(), columns))
    assert {len(one) for one in seen} == {3}
    assert max(width(plain(row)) for one in seen for row in one) <= columns
    assert all(width(plain(row)) == columns for one in seen for row in one[:2])


def test_no_bar_is_full_before_the_end(clock: Callable[[float], None]) -> None:
    board = Board("train")
    for part in (LOADING, STEPS, WRITING):
        board.begin(part)
        clock(5)
        board.report(Progress(part.name, 5, 10, "tokens"))
        whole, own, _ = map(plain, frame(board.standing(), 80))
        assert "100%" not in whole + own
    clock(5)
    board.report(Progress(WRITING.name, 10, 10, "tokens"))
    whole, own, _ = map(plain, frame(board.standing(), 80))
    assert "100%" in whole
    assert "100%" in own


def test_the_time_that_is_left_covers_the_parts_that_come(clock: Callable[[float], None]) -> None:
    board = Board("train")
    board.begin(STEPS)  # from 0.1 to 0.9 of the whole
    for done in (0, 100, 400):
        clock(10)
        board.report(Progress("steps", done, 800, "tokens"))
    standing = board.standing()
    assert standing.rate == 20
    assert standing.part_left == 20
    assert standing.left == pytest.approx(20 + 40 * 0.1 / 0.8)
    assert standing.whole == pytest.approx(0.5)


def test_the_meter_ignores_what_was_done_before() -> None:
    meter = Meter()
    assert meter.seconds_left(1) is None
    meter.update(100.0, 500_000)
    assert meter.seconds_left(600_000) is None
    meter.update(110.0, 510_000)
    assert meter.rate == 1000
    assert meter.seconds_left(600_000) == 90
    for second in range(1, 101):
        meter.update(110.0 + second, 510_000 + 10 * second)
    assert meter.rate == 10
    assert meter.seconds_left(None) is None


@given(st.floats(0, 1e9))
def test_seconds_are_short(seconds: float) -> None:
    assert re.fullmatch(r"\d+s|\d+m\d\ds|\d+h\d\dm", format_seconds(seconds))


def test_sparkline_and_shades() -> None:
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "  "
    assert sparkline([1, 8]) == "▁█"
    assert shade(0, 1) == ""
    assert shade(0.01, 1) != shade(1, 1)
    assert shade(1, 1) == shade(2, 1)
    assert token_text("a\r\n\tb") == "a↵⇥b"


def test_a_question_needs_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Console().confirm("delete?") is None
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as answers:
        monkeypatch.setattr(sys, "stdin", answers)
        terminal(monkeypatch, "stderr")
        os.write(ours, b"y\nn\n")
        assert Console().confirm("delete?") is True
        assert Console().confirm("delete?") is False
    os.close(ours)


@pytest.mark.parametrize("before", ["old", "the old one", 'it\'s "old"'])
def test_a_command_out_of_the_log_names_the_workspace_once(before: str) -> None:
    logged = f"extract --workspace {shell_word(before)} --config a.toml --tokens 1M"
    session = Session("status", Options(workspace="here now"))
    expected = "ghosttrack extract --config a.toml --tokens 1M --workspace 'here now'"
    assert session.again(logged) == expected
