"""The host's part of training: `python benchmarks/host.py`.

The loop of `ghosttrack train` (orders of rows, figures, progress, signals) around a step that does
nothing, with rows that are not gathered, which a GPU does by itself: microseconds a step, and the
tokens a second that the host could drive. A GPU whose steps are shorter waits for its host.
Evaluations and checkpoints are left out. Other work on the machine moves the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ghosttrack_cli.errors import Stopped
from ghosttrack_cli.monitor import Monitor
from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
from ghosttrack_cli.store.read.blocks import ShuffledBlock
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.training.trainer import Trainer
from ghosttrack_cli.workspace import Workspace
from made_up import LAYER, random_rows, write_store
from record import add_option, figure, recording

if TYPE_CHECKING:
    from ghosttrack_cli.monitor import Progress
    from ghosttrack_cli.training.step.state import State

D = 768
BATCH_SIZES = (256, 4096)
WARMUP = 3
ROWS_OF_A_BATCH = torch.zeros(max(BATCH_SIZES), D, dtype=torch.bfloat16)


class StandingEngine:
    """Counts steps and takes none."""

    def __init__(self, state: State) -> None:
        self.state = state

    def step(self, raw: torch.Tensor) -> None:
        """Count one step."""
        del raw
        self.state.step.add_(1)

    def live(self) -> None:
        """No figures."""

    def halted(self, *, wait: bool = False) -> bool:
        """Never."""
        del wait
        return False


class StandingTrainer(Trainer):
    """A trainer whose engine stands still."""

    def _engine(self, state: State, *_: Any) -> StandingEngine:
        return StandingEngine(state)


def not_gathered(block: ShuffledBlock, start: int, stop: int) -> torch.Tensor:
    """As many rows as `take` would give, always the same ones."""
    return ROWS_OF_A_BATCH[: min(stop, len(block)) - start]


def seconds_a_step(store: ActivationStore, batch_size: int, seconds: float, folder: Path) -> float:
    """The mean over about so many seconds of whole epochs."""
    steps, start, epoch = 0, 0.0, store.rows // batch_size
    stop: list[int] = []

    def progress(_: Progress) -> None:
        nonlocal steps, start
        steps += 1
        if steps == WARMUP:
            start = time.perf_counter()
        elif (steps - WARMUP) % epoch == 0 and time.perf_counter() - start > seconds:
            stop.append(15)

    training = SAETrainingSettings(
        epochs=10_000, batch_size=batch_size, device="cpu", checkpoint_minutes=1000
    )
    monitor = Monitor(progress, print, lambda: stop[0] if stop else None)
    with contextlib.suppress(Stopped):
        StandingTrainer(
            store,
            LAYER,
            SAESettings(),
            training,
            Workspace(folder, folder),
            monitor,
            overwrite=True,
        ).run()
    return (time.perf_counter() - start) / (steps - WARMUP)


def tables(options: argparse.Namespace) -> None:
    """Measure, print and record."""
    ShuffledBlock.take = not_gathered  # type: ignore[method-assign, assignment]
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}\n")
    print("| batch | µs a step, least to most | million tokens/s |")
    print("| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        write_store(Path(name) / "store", options.rows, random_rows(options.rows, D))
        store = ActivationStore.open(Path(name) / "store")
        for batch_size in BATCH_SIZES:
            found = sorted(
                1e6 * seconds_a_step(store, batch_size, options.seconds, Path(name) / "train")
                for _ in range(options.repeats)
            )
            rate = batch_size / found[len(found) // 2]
            figure(
                "host",
                batch_size=batch_size,
                least_microseconds=found[0],
                median_microseconds=found[len(found) // 2],
                most_microseconds=found[-1],
                tokens_per_second=1e6 * rate,
            )
            print(f"| {batch_size} | {found[0]:.0f}-{found[-1]:.0f} | {rate:.1f} |", flush=True)


def main() -> None:
    """Print one line for each batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=262_144, help="rows of the store")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=3)
    add_option(parser)
    options = parser.parse_args()
    with recording("host", options):
        tables(options)


if __name__ == "__main__":
    main()
