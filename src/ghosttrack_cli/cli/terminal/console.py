"""The one sink for output: the only module that prints or imports rich.

Results go to stdout, everything else to stderr. Where a stream is no terminal, plain lines are
written and rich is not even loaded.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias, TypeVar

from ghosttrack_cli.cli.terminal.bars import frame, log_line
from ghosttrack_cli.cli.terminal.board import Board
from ghosttrack_cli.cli.terminal.layout import fit_line, fit_table, lay_out
from ghosttrack_cli.cli.terminal.output import Line, Span, Table, line, plain, plain_table, visible
from ghosttrack_cli.machine import clock
from ghosttrack_cli.quantities import format_seconds
from ghosttrack_cli.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console as RichConsole
    from rich.console import RenderableType
    from rich.live import Live
    from rich.text import Text

    from ghosttrack_cli.monitor import Part, Progress

LOG_SECONDS = 5.0
SHORT_SECONDS = 1.0
FRAME_SECONDS = 0.2
WATCH_SECONDS = 2.0
SCHEMA = 1
Blocks: TypeAlias = "Sequence[Line | Table]"
Begin: TypeAlias = "Callable[[Part], None]"
Report: TypeAlias = "Callable[[Progress], None]"
View = TypeVar("View", "_Log", "_Bars")


class Console:
    """Where a command speaks; `quiet` keeps notices and progress back."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._live: Live | None = None

    def lines(self, *lines: Line | str) -> None:
        """Write result lines to stdout."""
        for one in lines:
            self._write(sys.stdout, line(one) if isinstance(one, str) else one)

    def table(self, table: Table) -> None:
        """Write a result table to stdout: fitted to a terminal, whole elsewhere."""
        if sys.stdout.isatty():
            self.lines(*fit_table(table, _rich(sys.stdout).width))
        else:
            self.lines(*plain_table(table))

    def document(self, document: dict[str, Any]) -> None:
        """Write one JSON document with its schema number to stdout."""
        whole = _finite({"schema": SCHEMA} | document | {"schema": SCHEMA})
        _put(sys.stdout, json.dumps(whole, indent=1, allow_nan=False, default=_plain))

    def notice(self, text: str) -> None:
        """Write one line that the user should see to stderr."""
        if not self.quiet:
            self._write(sys.stderr, line(Span("note: ", "yellow"), text))

    def detail(self, *lines: Line | str) -> None:
        """Write lines about a result, for instance what to do next, to stderr."""
        if not self.quiet:
            for one in lines:
                self._write(sys.stderr, line(one) if isinstance(one, str) else one)

    def error(self, what: str, hint: str | None = None) -> None:
        """Write what went wrong and what to do next to stderr."""
        first, *rest = what.splitlines() or [""]
        self._write(sys.stderr, line(Span("error: ", "bold red"), first))
        for one in rest:
            self._write(sys.stderr, line(one))
        if hint:
            copied = hint.startswith("ghosttrack ")
            self._write(sys.stderr, line(Span("hint: ", "bold cyan"), Span(hint, whole=copied)))

    def trace(self, error: BaseException) -> None:
        """Write the traceback to stderr, without the values of variables."""
        text = "".join(traceback.format_exception(error))
        _put(sys.stderr, visible(text.rstrip(), keep="\n"))

    def confirm(self, question: str) -> bool | None:
        """Ask on a terminal; None where there is nobody to ask."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return None
        sys.stderr.write(visible(f"{question} [y/N] "))
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    @contextmanager
    def progress(self, stage: str) -> Iterator[tuple[Begin, Report]]:
        """Give what shows a stage's parts and its progress on stderr while the block runs."""
        if self.quiet:
            yield lambda _: None, lambda _: None
            return
        board = Board(stage)
        with self._view(board) as view:
            yield view.begin, view.report
        seconds = board.standing().seconds
        if seconds >= SHORT_SECONDS:
            self.detail(line(Span(f"{stage}: done in {format_seconds(seconds)}", "dim")))

    @contextmanager
    def _view(self, board: Board) -> Iterator[_Log | _Bars]:
        if not _can_redraw(sys.stderr):
            with _ticking(_Log(self, board)) as log:
                yield log
            return
        with _live(sys.stderr, transient=True) as live:
            self._live = live
            try:
                with _ticking(_Bars(live, board)) as bars:
                    yield bars
            finally:
                self._live = None

    def watch(self, render: Callable[[int | None, int | None], Blocks]) -> None:
        """Show `render(columns, rows)` again and again until interrupted; both None in a pipe."""
        if not _can_redraw(sys.stdout):
            while True:
                self.blocks(render(None, None))
                clock.sleep(WATCH_SECONDS)
        with _live(sys.stdout, screen=True) as live:
            while True:
                columns, rows = live.console.size
                live.update(_group(lay_out(render(columns, rows), columns)), refresh=True)
                clock.sleep(WATCH_SECONDS)

    def blocks(self, blocks: Blocks) -> None:
        """Write lines and tables in turn to stdout."""
        for block in blocks:
            if isinstance(block, Table):
                self.table(block)
            else:
                self.lines(block)

    def close(self) -> None:
        """Stop writing to stdout: whoever read it has gone, and Python would complain at exit."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _write(self, stream: TextIO, spans: Line) -> None:
        if stream.isatty():
            above = self._live.console if self._live and stream is sys.stderr else _rich(stream)
            for one in fit_line(spans, above.width):
                above.print(_rich_text(one), soft_wrap=True)
        else:
            _put(stream, plain(spans))


class _Log:
    """A line where a part begins or ends, and one every few seconds."""

    def __init__(self, console: Console, board: Board) -> None:
        self._console = console
        self._board = board
        self._show()

    def begin(self, part: Part) -> None:
        if self._board.begin(part):
            self._show()

    def report(self, progress: Progress) -> None:
        if self._board.report(progress) or progress.done == progress.total:
            self._show()
        else:
            self.tick()

    def tick(self) -> None:
        if clock.monotonic() - self._shown >= LOG_SECONDS:
            self._show()

    def _show(self) -> None:
        self._shown = clock.monotonic()
        self._console.detail(log_line(self._board.standing()))


class _Bars:
    """The stage and its part at the bottom of a terminal, drawn anew by the clock."""

    def __init__(self, live: Live, board: Board) -> None:
        self._live = live
        self._board = board

    def begin(self, part: Part) -> None:
        self._board.begin(part)

    def report(self, progress: Progress) -> None:
        self._board.report(progress)

    def tick(self) -> None:
        columns = self._live.console.width
        lines = frame(self._board.standing(), columns)
        self._live.update(_group(lines), refresh=True)


@contextmanager
def _ticking(view: View) -> Iterator[View]:
    """Let a thread draw `view` again and again, also while the stage is silent."""
    done = threading.Event()

    def tick() -> None:
        # A terminal that has gone is no reason to end: the stage meets it when it has to say more.
        with suppress(OSError, ValueError):
            while not done.wait(FRAME_SECONDS):
                view.tick()

    view.tick()
    thread = threading.Thread(target=tick, name="progress", daemon=True)
    thread.start()
    try:
        yield view
    finally:
        done.set()
        thread.join()


def _can_redraw(stream: TextIO) -> bool:
    """Whether a stream is a terminal that moves its cursor and has the characters of bars."""
    utf_8 = (stream.encoding or "utf-8").lower().replace("-", "") == "utf8"
    return stream.isatty() and utf_8 and os.environ.get("TERM") not in {"dumb", "unknown"}


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null stands for them."""
    if isinstance(value, dict):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: object) -> object:
    """What JSON has no word for: a site as in the files, anything else as text."""
    return value.json if isinstance(value, Site) else str(value)


def _put(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def _rich(stream: TextIO) -> RichConsole:
    from rich.console import Console as RichConsole

    return RichConsole(file=stream, highlight=False, markup=False, emoji=False)


@contextmanager
def _live(stream: TextIO, *, screen: bool = False, transient: bool = False) -> Iterator[Live]:
    from rich.live import Live

    with Live(
        console=_rich(stream),
        auto_refresh=False,
        screen=screen,
        transient=transient,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        yield live


def _rich_text(spans: Line) -> Text:
    from rich.text import Text

    return Text.assemble(*((visible(span.text), span.style) for span in spans))


def _group(lines: Sequence[Line]) -> RenderableType:
    from rich.console import Group

    return Group(*map(_rich_text, lines))
