"""The one sink for output: the only module that prints or imports rich.

Results go to stdout, everything else to stderr. Where a stream is no terminal, plain lines are
written and rich is not even loaded.
"""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from ghosttrack_cli import runtime
from ghosttrack_cli.cli.meter import (
    Meter,
    format_figures,
    format_rate,
    format_seconds,
    plain_progress,
)
from ghosttrack_cli.cli.output import Line, Span, Table, line, plain, plain_table, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console as RichConsole
    from rich.console import RenderableType
    from rich.live import Live
    from rich.text import Text

    from ghosttrack_cli.monitor import Progress

PLAIN_SECONDS = 5.0
FRAME_SECONDS = 0.1
WATCH_SECONDS = 2.0
SCHEMA = 1


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
        """Write a result table to stdout: columns on a terminal fitted to it, whole elsewhere."""
        if sys.stdout.isatty():
            _rich(sys.stdout).print(_rich_table(table))
        else:
            self.lines(*plain_table(table))

    def document(self, document: dict[str, Any]) -> None:
        """Write one JSON document with its schema number to stdout."""
        whole = _finite({"schema": SCHEMA, **document})
        _put(sys.stdout, json.dumps(whole, indent=1, allow_nan=False, default=str))

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
            self._write(sys.stderr, line(Span("hint: ", "bold cyan"), hint))

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
    def progress(self) -> Iterator[Callable[[Progress], None]]:
        """Give the callback that shows a stage's progress on stderr while the block runs."""
        if self.quiet:
            yield lambda _: None
        elif sys.stderr.isatty():
            with _live(sys.stderr) as live:
                self._live = live
                try:
                    yield _Bars(live).show
                finally:
                    self._live = None
        else:
            yield _Plain(self).show

    def watch(self, render: Callable[[], list[Line | Table]]) -> None:
        """Show `render()` again and again until interrupted."""
        if not sys.stdout.isatty():
            while True:
                self.blocks(render())
                runtime.sleep(WATCH_SECONDS)
        with _live(sys.stdout, screen=True) as live:
            while True:
                live.update(_group(render()), refresh=True)
                runtime.sleep(WATCH_SECONDS)

    def blocks(self, blocks: list[Line | Table]) -> None:
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
            above.print(_rich_text(spans), soft_wrap=True)
        else:
            _put(stream, plain(spans))


class _Plain:
    """A line every few seconds, and one when a stage is through."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._meters: dict[str, Meter] = {}
        self._shown = runtime.monotonic()

    def show(self, progress: Progress) -> None:
        now = runtime.monotonic()
        meter = self._meters.setdefault(progress.stage, Meter())
        finished = progress.total is not None and progress.done >= progress.total
        if not finished and now - self._shown < PLAIN_SECONDS:
            return
        self._shown = now
        meter.update(now, progress.done)
        self._console.detail(plain_progress(progress, meter))


class _Bars:
    """One bar for the running stage; a finished stage leaves its last line."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._stage = ""
        self._meter = Meter()
        self._shown = 0.0

    def show(self, progress: Progress) -> None:
        now = runtime.monotonic()
        if progress.stage != self._stage:
            if self._stage:
                self._live.console.print(self._live.renderable)
            self._stage, self._meter, self._shown = progress.stage, Meter(), 0.0
        finished = progress.total is not None and progress.done >= progress.total
        if not finished and now - self._shown < FRAME_SECONDS:
            return
        self._shown = now
        self._meter.update(now, progress.done)
        self._live.update(_bar(progress, self._meter), refresh=True)


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null stands for them."""
    if isinstance(value, dict):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _put(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def _rich(stream: TextIO) -> RichConsole:
    from rich.console import Console as RichConsole

    return RichConsole(file=stream, highlight=False, markup=False, emoji=False)


@contextmanager
def _live(stream: TextIO, *, screen: bool = False) -> Iterator[Live]:
    from rich.live import Live

    with Live(
        console=_rich(stream),
        auto_refresh=False,
        screen=screen,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        yield live


def _rich_text(spans: Line) -> Text:
    from rich.text import Text

    return Text.assemble(*((visible(span.text), span.style) for span in spans))


def _rich_table(table: Table) -> RenderableType:
    from rich import box
    from rich.table import Table as RichTable

    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    one_gives = any(column.cut for column in table.columns)
    for column in table.columns:
        whole = one_gives and not column.cut
        drawn.add_column(column.name, justify=column.align, no_wrap=whole)
    for row in table.rows:
        cells = zip(table.columns, row, strict=True)
        drawn.add_row(*(_rich_cell(cell, cut=column.cut) for column, cell in cells))
    return drawn


def _rich_cell(cell: Span, *, cut: bool) -> Text:
    text = _rich_text((cell,))
    if cut:
        text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _group(blocks: list[Line | Table]) -> RenderableType:
    from rich.console import Group

    return Group(
        *(_rich_table(one) if isinstance(one, Table) else _rich_text(one) for one in blocks)
    )


def _bar(progress: Progress, meter: Meter) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table as RichTable

    share = f"{100 * progress.done / progress.total:.0f}%" if progress.total else ""
    grid = RichTable.grid(padding=(0, 1))
    texts = [
        f"{progress.done:,} {progress.unit}" if not progress.total else share,
        format_rate(meter, progress.unit),
        f"{format_seconds(meter.seconds_left(progress.total))} left" if progress.total else "",
        format_figures(progress.figures),
    ]
    grid.add_row(
        _rich_text(line(Span(progress.stage, "bold"))),
        ProgressBar(total=progress.total or 1, completed=progress.done, width=20),
        *(_rich_text(line(text)) for text in texts),
    )
    return grid
