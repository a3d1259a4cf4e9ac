"""Training against its peers: `python benchmarks/train.py`.

Tokens a second of the whole loop on one store: ours as `ghosttrack train` runs it (batches,
figures, progress), a plain autograd loop, and SAELens' trainer where it is installed; batches come
from memory for all of them. Start-up (opening, masking, compiling, capturing) stands apart. Rows
are random and the thresholds start where the target L0 is, because decoding on the CPU costs by
what fires. A machine that does other work at the same time moves all figures.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ghosttrack_cli.errors import Stopped
from ghosttrack_cli.monitor import Monitor, Progress
from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.training.trainer import Trainer
from ghosttrack_cli.workspace import Workspace
from made_up import LAYER, random_rows, write_store
from peers import installed
from record import add_option, figure, recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

D = 768
TARGET_L0 = 75.0
WARMUP = 3
EPOCHS = 10_000
CPU_CASES = ((256, 4096), (4096, 4096))
CUDA_CASES = ((256, 4096), (4096, 4096), (4096, 24576))


@dataclass(frozen=True)
class Case:
    """One shape on one device, measured for about `seconds`."""

    device: torch.device
    batch_size: int
    d_hidden: int
    seconds: float


@dataclass
class Clock:
    """Counts steps, and times those after the first few."""

    case: Case
    created: float = field(default_factory=time.perf_counter)
    steps: int = 0
    start: float | None = None
    startup: float = 0.0
    elapsed: float = 0.0
    note: str = ""

    def tick(self) -> bool:
        """Count a step; True once enough are timed."""
        self.steps += 1
        if self.start is None:
            if self.steps >= WARMUP:
                self.start = self._now()
                self.startup = self.start - self.created
            return False
        if time.perf_counter() - self.start < self.case.seconds and self.steps < WARMUP + 10**6:
            return False
        self.elapsed = self._now() - self.start
        return True

    def _now(self) -> float:
        if self.case.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return (self.steps - WARMUP) * self.case.batch_size / self.elapsed


def first_threshold(rows: Tensor, d_hidden: int) -> float:
    """The threshold at which a new SAE has the target L0."""
    x = rows[:2048].float()
    x = (x - x.mean(dim=0)) / x.square().sum(dim=1).mean().sqrt()
    directions = torch.nn.functional.normalize(torch.randn(2048, D), dim=1)
    return torch.quantile((x @ directions.T)[::8].flatten(), 1 - TARGET_L0 / d_hidden).item()


def ours(case: Case, store: ActivationStore, threshold: float, folder: Path) -> Clock:
    """The trainer of this package."""
    clock, stop = Clock(case), []

    def progress(report: Progress) -> None:
        clock.note = str(report.figures.get("L0", clock.note))
        if clock.tick():
            stop.append(15)

    def notice(line: str) -> None:
        print(f"  {line}", flush=True)

    shutil.rmtree(folder, ignore_errors=True)
    sae = SAESettings(d_hidden=case.d_hidden, threshold=threshold)
    training = SAETrainingSettings(
        epochs=EPOCHS,
        batch_size=case.batch_size,
        device=str(case.device),
        target_sparsity_min=TARGET_L0,
        target_sparsity_max=TARGET_L0,
    )
    monitor = Monitor(progress, notice, lambda: stop[0] if stop else None)
    with contextlib.suppress(Stopped):
        Trainer(store, LAYER, sae, training, Workspace(folder, folder), monitor).run()
    clock.note = f"L0 {float(clock.note):.0f}" if clock.note else ""
    return clock


class Step(torch.autograd.Function):
    """[h > theta] with a rectangle kernel for the threshold, as a user of autograd writes it."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        """Which entries fire, (B, F)."""
        ctx.save_for_backward(h, threshold)
        ctx.bandwidth = bandwidth
        return (h > threshold).to(h.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        """The estimator, to the threshold only."""
        h, threshold = ctx.saved_tensors
        window = (h - threshold).abs() < ctx.bandwidth / 2
        return None, -(gradients[0] * window).sum(dim=0) / ctx.bandwidth, None


class PlainSAE(nn.Module):
    """The same loss with autograd."""

    def __init__(self, d_hidden: int, threshold: float) -> None:
        super().__init__()
        W_dec = torch.nn.functional.normalize(torch.randn(d_hidden, D), dim=1)
        self.W_enc = nn.Parameter(W_dec.T.contiguous())
        self.b_enc = nn.Parameter(torch.zeros(d_hidden))
        self.W_dec = nn.Parameter(W_dec)
        self.b_dec = nn.Parameter(torch.zeros(D))
        self.threshold = nn.Parameter(torch.full((d_hidden,), threshold))

    def forward(self, x: Tensor) -> Tensor:
        """The loss of a batch (B, D)."""
        h = x @ self.W_enc + self.b_enc
        step = Step.apply(h, self.threshold, 0.01)  # type: ignore[no-untyped-call]
        acts = h.relu() * step
        error = acts @ self.W_dec + self.b_dec - x
        l0 = step.sum(dim=1).mean()
        loss: Tensor = error.square().sum(dim=1).mean() + (l0 / TARGET_L0 - 1).square()
        return loss


def plain(case: Case, rows: Tensor, threshold: float) -> Clock:
    """A plain autograd loop; bfloat16 autocast on CUDA."""
    clock = Clock(case)
    model = PlainSAE(case.d_hidden, threshold).to(case.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    scale = 1 / rows[:4096].float().square().sum(dim=1).mean().sqrt().item()
    for batch in shuffled(rows, case.batch_size):
        x = batch.float() * scale
        with torch.autocast(
            case.device.type, dtype=torch.bfloat16, enabled=case.device.type == "cuda"
        ):
            loss = model(x)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.W_dec.div_(model.W_dec.norm(dim=1, keepdim=True))
        if clock.tick():
            break
    return clock


def saelens(case: Case, rows: Tensor) -> Clock:
    """The trainer of SAELens, quadratic JumpReLU; bfloat16 autocast on CUDA."""
    from sae_lens import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    clock = Clock(case)

    def batches() -> Iterator[Tensor]:
        for number, batch in enumerate(shuffled(rows, case.batch_size)):
            if number and clock.tick():
                return
            yield batch.float()

    config = JumpReLUTrainingSAEConfig(
        d_in=D,
        d_sae=case.d_hidden,
        device=str(case.device),
        jumprelu_sparsity_loss_mode="quadratic",
        target_l0=TARGET_L0,
    )
    trainer = SAETrainer(
        SAETrainerConfig(
            total_training_samples=10**12,
            train_batch_size_samples=case.batch_size,
            lr_end=3e-5,
            device=str(case.device),
            autocast=case.device.type == "cuda",
        ),
        JumpReLUTrainingSAE(config),
        batches(),
    )
    with contextlib.suppress(StopIteration):
        trainer.fit()
    assert clock.elapsed, "SAELens' loop ended early"
    return clock


def shuffled(rows: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Batches of rows in random order, for ever."""
    while True:
        for order in torch.split(torch.randperm(len(rows), device=rows.device), batch_size):
            if len(order) == batch_size:
                yield rows[order]


def measure(case: Case, store: ActivationStore, folder: Path) -> None:
    """Print one line for each trainer."""
    rows = torch.from_numpy(store.read(LAYER).view(np.int16)).view(torch.bfloat16).to(case.device)
    torch.manual_seed(0)
    threshold = first_threshold(rows.cpu(), case.d_hidden)
    trainers: dict[str, Callable[[], Clock]] = {
        "ghosttrack": lambda: ours(case, store, threshold, folder),
        "plain autograd": lambda: plain(case, rows, threshold),
    }
    if installed("sae-lens"):
        trainers["SAELens"] = lambda: saelens(case, rows)
    rates: dict[str, float] = {}
    for name, train in trainers.items():
        try:
            clock = train()
        except torch.OutOfMemoryError:
            print(f"| {case.device.type} | {case.batch_size} | {case.d_hidden} | {name} | - |")
            continue
        rates[name] = clock.rate
        times = rates["ghosttrack"] / clock.rate
        figure(
            "training",
            device=case.device.type,
            batch_size=case.batch_size,
            d_hidden=case.d_hidden,
            trainer=name,
            tokens_per_second=clock.rate,
            startup_seconds=clock.startup,
            ours_is_times=times,
            note=clock.note,
        )
        print(
            f"| {case.device.type} | {case.batch_size} | {case.d_hidden} | {name} |"
            f" {clock.rate:,.0f} | {1e3 * case.batch_size / clock.rate:.2f} | {times:.1f} |"
            f" {clock.startup:.1f} | {clock.note} |",
            flush=True,
        )


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measured FLOP/s of one large matrix product."""
    a = torch.randn(4096, 4096, device=device, dtype=dtype)
    best = 0.0
    for _ in range(8):
        start = time.perf_counter()
        for _ in range(20 if device.type == "cuda" else 1):
            b = a @ a
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        best = max(best, (20 if device.type == "cuda" else 1) * 2 * 4096**3 / seconds)
    del b
    return best


def describe(device: torch.device) -> None:
    """Machine and versions."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor()
    load = os.getloadavg()[0]
    print(f"{device.type}: {name or platform.machine()}, {torch.get_num_threads()} threads", end="")
    print(f" of {os.cpu_count()} processors, load {load:.1f}, torch {torch.__version__}", end="")
    print(
        f", SAELens {installed('sae-lens') or 'not installed'}, Python {platform.python_version()}"
    )
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    rate = matrix_rate(device, dtype)
    figure("dense product", device=device.type, dtype=str(dtype)[6:], flop_per_second=rate)
    wall = rate / (5 * 2 * D * 4096)
    print(f"dense {str(dtype)[6:]} product {rate / 1e12:.2f} TFLOP/s: five of them allow", end="")
    print(f" {wall:,.0f} tokens/s at F = 4096\n")


def tables(arguments: argparse.Namespace) -> None:
    """Measure, print and record."""
    devices = ["cuda"] if torch.cuda.is_available() else ["cpu"]
    if arguments.device != "auto":
        devices = [arguments.device]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        write_store(Path(folder) / "store", arguments.rows, random_rows(arguments.rows, D))
        store = ActivationStore.open(Path(folder) / "store")
        for name in devices:
            device = torch.device(name)
            describe(device)
            print(
                "| device | batch | F | trainer | tokens/s | ms a step | ours is | start-up s | |"
            )
            print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
            for batch_size, d_hidden in CUDA_CASES if name == "cuda" else CPU_CASES:
                case = Case(device, batch_size, d_hidden, arguments.seconds)
                measure(case, store, Path(folder) / "train")


def main() -> None:
    """Print one table for each device asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--rows", type=int, default=262_144, help="rows of the store")
    parser.add_argument("--folder", type=Path, help="where the store is made; default: temporary")
    add_option(parser)
    arguments = parser.parse_args()
    with recording("train", arguments):
        tables(arguments)


if __name__ == "__main__":
    main()
