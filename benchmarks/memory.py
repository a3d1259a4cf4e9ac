"""Memory as planned against memory as taken: `python benchmarks/memory.py`.

The plan is what `ghosttrack train --dry-run` shows. For each width one process trains on the CPU
from the first, dense steps, stops, and goes on from its checkpoint to the end; another one starts
where as many features fire as are still taken one by one. The larger peak of the two (VmHWM) is
compared with the plan, which is made before the first step. Few rows and steps: more of them
change neither.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from ghosttrack_cli.errors import Stopped
from ghosttrack_cli.monitor import Monitor
from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.training.engines.entry_lists import MAX_ENTRIES, SPARSE_SHARE
from ghosttrack_cli.training.plan.plan import plan_training
from ghosttrack_cli.training.trainer import Trainer
from ghosttrack_cli.workspace import Workspace
from made_up import LAYER, random_rows, write_store
from record import add_option, figure, recording

MEBIBYTE = 2**20
ROWS = 12_000
WIDTHS = (4096, 24_576, 65_536)


def peak_bytes() -> int:
    """The most memory that this process ever had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return 1024 * int(peak)


def first_threshold(d_model: int, d_hidden: int, batch_size: int, start: str) -> float:
    """Where all but nothing is left out, or just so much that entries are taken one by one.

    Rows have length 1 in training units and decoder rows too: h is normal with variance 1 / D.
    """
    if start == "dense":
        return 0.001
    share = 0.9 * min(SPARSE_SHARE, MAX_ENTRIES / (batch_size * d_hidden))
    return statistics.NormalDist(sigma=d_model**-0.5).inv_cdf(1 - share) + 0.005


def train(folder: Path, d_hidden: int, batch_size: int, start: str) -> dict[str, int]:
    """Train in this process, stopped once; bytes predicted and measured."""
    store = ActivationStore.open(folder / "rows")
    threshold = first_threshold(store.d_model, d_hidden, batch_size, start)
    sae = SAESettings(d_hidden=d_hidden, threshold=threshold, target_l0=min(75, d_hidden / 8))
    training = SAETrainingSettings(
        epochs=1,
        batch_size=batch_size,
        evaluations=2,
        device="cpu",
        max_dead_fraction=1.0,
    )
    workspace = Workspace(folder, folder / f"{d_hidden}-{start}")
    predicted = plan_training(store, LAYER, sae, training, workspace).memory_bytes
    for stop in (15, None):
        monitor = Monitor(stop_signal=lambda stop=stop: stop)  # type: ignore[misc]
        with contextlib.suppress(Stopped):
            Trainer(store, LAYER, sae, training, workspace, monitor).run()
    return {"predicted": predicted, "measured": peak_bytes()}


def measure(folder: Path, d_hidden: int, batch_size: int, start: str) -> dict[str, int]:
    """The same in a process of its own."""
    arguments = [str(folder), str(d_hidden), str(batch_size), start]
    command = [sys.executable, __file__, "--child", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


def tables(options: argparse.Namespace) -> None:
    """Measure, print and record."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, D = {options.d_model}")
    print(f"{'F':>8} {'batch':>6} {'predicted':>10} {'dense start':>12} {'many':>8} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_store(folder / "rows", ROWS, random_rows(ROWS, options.d_model))
        for d_hidden in options.d_hidden:
            found = [
                measure(folder, d_hidden, options.batch_size, start) for start in ("dense", "many")
            ]
            predicted = max(one["predicted"] for one in found)
            peaks = [one["measured"] for one in found]
            figure(
                "memory",
                d_model=options.d_model,
                d_hidden=d_hidden,
                batch_size=options.batch_size,
                predicted_bytes=predicted,
                dense_start_bytes=peaks[0],
                many_bytes=peaks[1],
            )
            print(
                f"{d_hidden:>8} {options.batch_size:>6} {predicted / MEBIBYTE:>10.0f}"
                f" {peaks[0] / MEBIBYTE:>12.0f} {peaks[1] / MEBIBYTE:>8.0f}"
                f" {predicted / max(peaks):>6.3f}",
                flush=True,
            )


def main() -> None:
    """Print one line for each width."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--d-model", type=int, default=768)
    parser.add_argument("--d-hidden", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    add_option(parser)
    options = parser.parse_args()
    if options.child:
        folder, d_hidden, batch_size, start = options.child
        print(json.dumps(train(Path(folder), int(d_hidden), int(batch_size), start)))
        return
    with recording("memory", options):
        tables(options)


if __name__ == "__main__":
    main()
