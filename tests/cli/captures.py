"""What a person sees on terminals of three widths, kept as text files beside the tests.

`python -m tests.cli.captures` writes them anew; look at the difference before committing it.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from tests.cli.test_feature_views import feature
from tests.status.conftest import Builder

from ghosttrack_cli import files
from ghosttrack_cli.browser.prompt import PromptFeature, PromptLayer, PromptReport
from ghosttrack_cli.cli.actions.feature_list import CONTRAST_COLUMNS, LIST_COLUMNS
from ghosttrack_cli.cli.actions.feature_view import feature_blocks
from ghosttrack_cli.cli.actions.outcome import Outcome, give
from ghosttrack_cli.cli.actions.prompt import prompt_blocks
from ghosttrack_cli.cli.actions.status import look
from ghosttrack_cli.cli.actions.status_view import status_blocks, watched_blocks
from ghosttrack_cli.cli.actions.train import RESULT_COLUMNS
from ghosttrack_cli.cli.actions.train_plan import PLAN_COLUMNS
from ghosttrack_cli.cli.options import Options
from ghosttrack_cli.cli.session import Session
from ghosttrack_cli.cli.terminal.bars import frame, log_line
from ghosttrack_cli.cli.terminal.board import Board
from ghosttrack_cli.cli.terminal.console import Console
from ghosttrack_cli.cli.terminal.output import Line, Table, line
from ghosttrack_cli.machine import clock
from ghosttrack_cli.monitor import Part, Progress, outline
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FOLDER = Path(__file__).parent / "captures"
WIDTHS = (50, 80, 120)
WATCHED_ROWS = 24
COURSE = {"val_loss": [0.9, 0.3, 0.2, 0.15], "sparsity": [300, 90, 70, 66], "fvu": [0.9, 0.4, 0.2]}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@contextmanager
def terminal(columns: int) -> Iterator[Terminal]:
    """Stdout and stderr as one terminal without colours, in an empty folder."""
    stream, before = Terminal(), Path.cwd()
    plain = {"COLUMNS": str(columns), "LINES": "24", "TERM": "xterm-256color", "NO_COLOR": "1"}
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, plain),
        mock.patch.object(sys, "stdout", stream),
        mock.patch.object(sys, "stderr", stream),
    ):
        os.chdir(folder)
        try:
            yield stream
        finally:
            os.chdir(before)


def session() -> Session:
    return Session("status", Options(workspace="ghosttrack-data"))


def workspace(*stored: int, trained: Sequence[int] = ()) -> Session:
    built = Builder(Workspace(Path("ghosttrack-data")))
    built.store(*stored)
    for layer in trained:
        built.training(layer, recon_loss=0.005 + layer / 1e4, l0=70.0 + layer)
        built.seal(built.workspace.history(layer), COURSE)
    return session()


def status() -> list[Line | Table]:
    one = session()
    return status_blocks(one, *look(one))


def show(blocks: Sequence[Line | Table]) -> None:
    Console().blocks(blocks)


def empty() -> None:
    show(status())


def half() -> None:
    workspace(0, 3, 6, trained=[0])
    built = Builder(Workspace(Path("ghosttrack-data")))
    built.training(3, "running")
    manifest = files.read_sealed(built.workspace.training_progress(3))
    built.seal(built.workspace.training_progress(3), {**manifest, "seconds": 120.0})
    holders = ["process 4711, training layer 3"]
    with mock.patch("ghosttrack_cli.files.lock_holders", return_value=holders):
        show(status())


def done() -> None:
    workspace(0, 6, trained=[0, 6])
    built = Builder(Workspace(Path("ghosttrack-data")))
    for layer in (0, 6):
        built.report(layer)
    show(status())


def problems() -> None:
    workspace(6, trained=[6])
    Path("ghosttrack-data/checkpoints/sae_layer_6_progress.json").write_text("{")
    show(status())


def watched() -> None:
    one = workspace(*range(24), trained=range(24))
    columns = int(os.environ["COLUMNS"])
    show(watched_blocks(one, *look(one), 95.0, (columns, WATCHED_ROWS)))


def results() -> None:
    words = "999,424 tokens of 1,204 documents, layers 0,6 (3.1 GB) are in ghosttrack-data/activa"
    give(session(), Outcome({}, [line(f"{words}tions.zarr")], ("train",)))
    rows = [("0", "4,880", "0.00512", "0.08153", "66.41", "1.2%", "50,120")]
    rows += [("11", "4,880", "0.01512", "0.18153", "67.02", "10.9%", "50,120")]
    saes = line("SAEs: ", "ghosttrack-data/checkpoints")
    give(session(), Outcome({}, [Table(RESULT_COLUMNS, table(rows)), saes], ("interpret",)))


def table(rows: Sequence[Sequence[str]]) -> tuple[Line, ...]:
    return tuple(line(*row) for row in rows)


def plans() -> None:
    rows = [("0", "999,424", "4,096", "4,880", "0", "1.2 GB", "165.3 MB", "start")]
    rows += [("6", "999,424", "4,096", "4,880", "1,200", "1.2 GB", "165.3 MB", "continue")]
    show([Table(PLAN_COLUMNS, table(rows))])


def features() -> None:
    tokens = "' the' ' a' ' of' ' model' ' layer'"
    rows = [("12", "6.068%", "60,680", "12.3", "1.07", "dense, single-token", tokens)]
    rows += [("16383", "0.021%", "210", "31.5", "9.81", "", "' Paris' ' London' '日本'")]
    show([Table(LIST_COLUMNS, table(rows))])
    contrasted = ("12", "6.068%", "1.204%", "+0.81", "0.0031", tokens)
    show([Table(CONTRAST_COLUMNS, table([contrasted]))])


def one_feature() -> None:
    words = "The  capital  of  France  is  Paris , which  many people have called a city of light"
    texts = [word.replace("_", " ") for word in words.replace("  ", " _").split(" ")]
    texts = [f" {text.strip()}" for text in texts * 2]
    acts = [0.0] * len(texts)
    acts[5] = 0.1234
    example = feature().examples[0].model_copy(update={"texts": texts, "acts": acts, "peak": 5})
    late = example.model_copy(update={"peak": len(texts) - 2, "acts": [*acts[1:], 0.1]})
    show(feature_blocks(6, feature(examples=[example, late], top=[0, 1], flags=["single-token"])))


def prompt() -> None:
    texts = [
        "<|endoftext|>",
        "The",
        " capital",
        " of",
        " France",
        " is",
        " Paris",
        " and",
        " so on",
    ]
    firing = [PromptFeature(feature=n, acts=[0, 0, 0, 0, 0, 0, n / 9, 0, 0]) for n in (7, 16000)]
    layer = PromptLayer(layer=6, features=firing)
    report = PromptReport(
        model="gpt2", text="".join(texts), ids=list(range(9)), texts=texts, layers=[layer]
    )
    show(prompt_blocks(report, 10, {6: [[" Paris", " London"]] * 8}))


def errors() -> None:
    console = Console()
    console.error(
        "the store was made with different settings: ghosttrack-data/activations.zarr\n"
        "  context_length: 1024 on disk, 128 requested",
        "leave the flag out to go on with the store, or use another --workspace",
    )
    console.error(
        "which layer? available: 0, 3, 6",
        "ghosttrack interpret list --layer 6 --workspace elsewhere",
    )
    console.notice("the corpus ended 576 tokens short: 999,424 of 1,000,000 are stored")


def progress() -> None:
    """A stage in three parts, as frames of a terminal and as lines of a log."""
    now = [0.0]
    loading, steps, losses = outline(("loading model", 1), ("steps", 8), ("losses", 1))
    layer = Part("layer 11 (12 of 12)", 11 / 12, 1.0)
    figures: dict[str, float | str] = {"loss": 0.01234, "L0": 66.17, "FVU": 0.0815, "dead": "1.2%"}
    columns = int(os.environ["COLUMNS"])
    with mock.patch.object(clock, "monotonic", side_effect=lambda: now[0]):
        board = Board("train")
        for part, shown in ((loading, {}), (steps, figures), (losses, {})):
            board.begin(part.within(layer))
            now[0] += 3.4
            total = None if part is loading else 4_096_000
            for done in (0, 1_000_000) if total else ():
                now[0] += 61
                board.report(Progress(part.name, done, total, "tokens", shown))
            show(frame(board.standing(), columns))
            if columns == max(WIDTHS):
                show([line(log_line(board.standing()))])


SCENES: dict[str, Callable[[], None]] = {
    "status_empty": empty,
    "status_half": half,
    "status_done": done,
    "status_problems": problems,
    "status_watched": watched,
    "results": results,
    "plans": plans,
    "features": features,
    "feature": one_feature,
    "prompt": prompt,
    "errors": errors,
    "progress": progress,
}


def capture(scene: str, columns: int) -> str:
    """What a scene shows on a terminal of so many columns."""
    with terminal(columns) as stream:
        SCENES[scene]()
    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    rows = [row.rstrip() for row in text.splitlines()]
    return "\n".join(rows) + "\n"


def path(scene: str, columns: int) -> Path:
    """Where the capture is kept."""
    return FOLDER / f"{scene}_{columns}.txt"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for name in SCENES:
        for size in WIDTHS:
            path(name, size).write_text(capture(name, size), "utf-8")
