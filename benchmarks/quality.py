"""Quality of SAEs beside those of SAELens: `python benchmarks/quality.py --folder FOLDER`.

On the layers of one store, at several sparsities: ours as `ghosttrack train` makes it by default,
and SAELens' JumpReLU, TopK and BatchTopK on the same rows in as many steps, each with the best of
three learning rates (chosen with the first seed, for each layer and sparsity, on the very rows that
are compared: the peers may choose, ours may not). With `--our-epochs` ours takes another number of
steps, to compare at about equal time. FVU is compared at equal L0: thresholds get the one factor
with which L0 on the held-out rows is the target, as ours have got it already; TopK keeps k.

SAELens is needed, and matplotlib for the plot. Without a store in the folder, the demo model makes
one of Python's documentation. Every result is a line of `quality.jsonl` there, so that the
benchmark goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import torch

import ghosttrack_cli
from ghosttrack_cli.files import append_line, read_json
from ghosttrack_cli.metrics import FiringCounts, ReconstructionSums
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.training.engines.engine import Scaling
from ghosttrack_cli.training.measure.calibrate import count_ratios
from ghosttrack_cli.training.measure.evaluate import blocks
from ghosttrack_cli.training.plan.recipe import Recipe
from ghosttrack_cli.training.rows.layer_rows import LayerRows
from ghosttrack_cli.training.trainer import Trainer
from ghosttrack_cli.workspace import Workspace
from peers import installed
from record import add_option, figure, recording
from saelens_training import KINDS, Trained, train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

OURS = "ghosttrack"
DEMO = Path(ghosttrack_cli.__file__).parent / "demo"
DEAD_ROWS = 300_000


@dataclass(frozen=True)
class Cell:
    """One training: what is trained, on which layer, how sparse."""

    kind: str
    layer: int
    target_l0: float
    seed: int
    learning_rate: float | None = None
    """Of a peer; ours takes its default."""


@dataclass(frozen=True)
class Outcome:
    """Held-out FVU at the target L0; before the factor on its thresholds the L0 was `l0_before`."""

    fvu: float
    l0: float
    l0_before: float
    dead: float
    seconds: float


class Bench:
    """A store, the settings of all trainings on it, and the results so far."""

    def __init__(
        self,
        folder: Path,
        store: ActivationStore,
        training: SAETrainingSettings,
        F: int,
        our_epochs: int,
    ) -> None:
        self.folder, self.store, self.training, self.d_hidden = folder, store, training, F
        self.our_epochs = our_epochs
        self._path = folder / "quality.jsonl"
        self._rows: dict[tuple[int, int], LayerRows] = {}
        self._known = dict(self._read())

    def _read(self) -> Iterator[tuple[str, Outcome]]:
        with contextlib.suppress(FileNotFoundError):
            for line in self._path.read_text().splitlines():
                entry = json.loads(line)
                yield json.dumps(entry["cell"]), Outcome(**entry["outcome"])

    def outcome(self, cell: Cell) -> Outcome:
        """The result of a training, made now unless it is known."""
        key = {**asdict(cell), "shape": self._shape(cell)}
        known = self._known.get(json.dumps(key))
        if known is not None:
            return known
        outcome = self._measure(cell, self._ours(cell) if cell.kind == OURS else self._peer(cell))
        append_line(self._path, json.dumps({"cell": key, "outcome": asdict(outcome)}))
        print(f"  {cell} {outcome}", file=sys.stderr, flush=True)
        self._known[json.dumps(key)] = outcome
        return outcome

    def _shape(self, cell: Cell) -> dict[str, int]:
        return {
            "d_hidden": self.d_hidden,
            "batch_size": self.training.batch_size,
            "epochs": self.our_epochs if cell.kind == OURS else self.training.epochs,
            "rows": self.store.rows,
        }

    def rows(self, cell: Cell) -> LayerRows:
        """The rows of the cell's layer; the split by document does not depend on its seed."""
        key = (cell.layer, cell.seed)
        if key not in self._rows:
            training = self.training.model_copy(update={"seed": cell.seed})
            self._rows = {key: LayerRows(self.store, cell.layer, training, torch.device("cpu"))}
        return self._rows[key]

    def _ours(self, cell: Cell) -> Trained:
        workspace = Workspace(self.folder, self.folder / "trained")
        training = self.training.model_copy(
            update={
                "seed": cell.seed,
                "epochs": self.our_epochs,
                "target_sparsity_min": 0.9 * cell.target_l0,
                "target_sparsity_max": 1.1 * cell.target_l0,
            }
        )
        sae = SAESettings(d_hidden=self.d_hidden, target_l0=cell.target_l0)
        Trainer(self.store, cell.layer, sae, training, workspace, overwrite=True).run()
        progress = read_json(workspace.training_progress(cell.layer))
        return Trained(
            JumpReLUSAE.load(workspace.sae(cell.layer, "final")), None, progress["seconds"]
        )

    def _peer(self, cell: Cell) -> Trained:
        assert cell.learning_rate is not None
        rows = self.rows(cell)
        scaling = Scaling(rows.survey.scale, rows.survey.mean)
        sae = SAESettings(d_hidden=self.d_hidden, target_l0=cell.target_l0)
        recipe = Recipe.of(sae, self.training, self.store.d_model, rows.survey.train_rows)
        batch_size, steps = recipe.batch_size, recipe.total_steps
        return train(
            cell.kind,
            (scaling.apply(raw) for raw in rows.batches(batch_size, 0, steps)),
            scaling.mean,
            scaling.scale,
            d_hidden=self.d_hidden,
            target_l0=cell.target_l0,
            learning_rate=cell.learning_rate,
            steps=steps,
            seed=cell.seed,
        )

    @torch.no_grad()
    def _measure(self, cell: Cell, trained: Trained) -> Outcome:
        """FVU and L0 on all held-out rows, and which features never fire."""
        rows, sae = self.rows(cell), trained.sae
        before = look(rows.validation(), trained)
        if trained.k is None:
            factor = count_ratios(sae, rows.validation()).calibration(cell.target_l0).factor
            sae.threshold.mul_(factor)
        after = look(rows.validation(), trained)
        counts = FiringCounts(self.d_hidden)
        for x in blocks(rows.sample(DEAD_ROWS), sae):
            counts.update(encode(trained, x) > 0)
        metrics = after.result()
        return Outcome(
            metrics.fvu,
            metrics.l0,
            before.result().l0,
            counts.result().dead_fraction,
            trained.seconds,
        )


def encode(trained: Trained, x: Tensor) -> Tensor:
    """Activations (B, F) of raw rows (B, D)."""
    acts = trained.sae.encode(x)
    if trained.k is None:
        return acts
    values, places = acts.topk(trained.k, dim=1)
    return torch.zeros_like(acts).scatter_(1, places, values)


def look(batches: Iterator[Tensor], trained: Trained) -> ReconstructionSums:
    """Sums over raw rows."""
    sums = ReconstructionSums(trained.sae.d_model)
    for x in blocks(batches, trained.sae):
        acts = encode(trained, x)
        sums.update(x, trained.sae.decode(acts), acts)
    return sums


@dataclass(frozen=True)
class Line:
    """One trainer at one sparsity of a layer, over all seeds."""

    kind: str
    layer: int
    target_l0: float
    learning_rate: float | None
    outcomes: list[Outcome]

    def mean(self, name: str) -> float:
        """The mean of one figure over the seeds."""
        return mean(float(getattr(outcome, name)) for outcome in self.outcomes)


def lines(bench: Bench, layer: int, target_l0: float, options: argparse.Namespace) -> list[Line]:
    """Every trainer at one sparsity: the peers with their best learning rate."""
    found = []
    for kind in (OURS, *KINDS):
        rates = [None] if kind == OURS else options.rates
        rate = min(
            rates,
            key=lambda rate: bench.outcome(Cell(kind, layer, target_l0, 0, rate)).fvu,
        )
        outcomes = [
            bench.outcome(Cell(kind, layer, target_l0, seed, rate)) for seed in range(options.seeds)
        ]
        found.append(Line(kind, layer, target_l0, rate, outcomes))
    return found


def print_lines(found: list[Line]) -> None:
    """Rows of the table; `ours is` says how far our FVU is from a peer's."""
    ours = found[0].mean("fvu")
    for line in found:
        fvus = [outcome.fvu for outcome in line.outcomes]
        rate = "" if line.learning_rate is None else f"{line.learning_rate:g}"
        figure(
            "quality",
            layer=line.layer,
            target_l0=line.target_l0,
            trainer=line.kind,
            learning_rate=line.learning_rate,
            fvu=line.mean("fvu"),
            least_fvu=min(fvus),
            most_fvu=max(fvus),
            l0=line.mean("l0"),
            l0_before=line.mean("l0_before"),
            dead=line.mean("dead"),
            seconds=line.mean("seconds"),
        )
        print(
            f"| {line.layer} | {line.target_l0:g} | {line.kind} | {rate} | {line.mean('fvu'):.4f} |"
            f" {min(fvus):.4f}-{max(fvus):.4f} | {ours / line.mean('fvu') - 1:+.1%} |"
            f" {line.mean('l0'):.1f} | {line.mean('l0_before'):.1f} | {line.mean('dead'):.1%} |"
            f" {line.mean('seconds'):.0f} |",
            flush=True,
        )


def plot(found: list[Line], path: Path) -> None:
    """FVU against L0, a panel for each layer."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    layers = sorted({line.layer for line in found})
    figure, axes = plt.subplots(1, len(layers), figsize=(5 * len(layers), 4), squeeze=False)
    for axis, layer in zip(axes[0], layers, strict=True):
        for kind in (OURS, *KINDS):
            curve = [line for line in found if (line.kind, line.layer) == (kind, layer)]
            points = [(line.mean("l0"), line.mean("fvu")) for line in curve]
            axis.plot(*zip(*points, strict=True), marker="o", label=kind)
        axis.set(xscale="log", xlabel="L0", ylabel="FVU, held out", title=f"layer {layer}")
        axis.legend()
    figure.tight_layout()
    figure.savefig(path)


def extract(folder: Path, options: argparse.Namespace) -> None:
    """Make the store of the demo model, or go on with it."""
    command = [sys.executable, "-m", "ghosttrack_cli", "extract", "--quiet"]
    command += ["--model", str(DEMO), "--corpus", "python-docs", "--workspace", str(folder)]
    command += ["--layers", options.layers, "--tokens", str(options.rows)]
    subprocess.run(command, check=True)


def parsed() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="workspace, made if need be")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to extract")
    parser.add_argument("--layers", default="2,4")
    parser.add_argument("--targets", type=float, nargs="+", default=[12.0, 24.0, 48.0])
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 1e-3, 3e-3])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--d-hidden", type=int, default=1024)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--our-epochs", type=int, help="of ours, if not as many as of the peers")
    add_option(parser)
    return parser.parse_args()


def tables(options: argparse.Namespace) -> None:
    """Measure, print and record."""
    if not (options.folder / "activations.zarr").exists():
        extract(options.folder, options)
    store = ActivationStore.open(Workspace(options.folder, options.folder).store)
    training = SAETrainingSettings(
        epochs=options.epochs, batch_size=options.batch_size, device="cpu", evaluations=4
    )
    our_epochs = options.our_epochs or options.epochs
    bench = Bench(options.folder, store, training, options.d_hidden, our_epochs)
    layers = [int(layer) for layer in options.layers.split(",")]
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads,"
        f" torch {torch.__version__}, SAELens {installed('sae-lens')}\n"
        f"model {store.identity.model}, D = {store.d_model}, F = {options.d_hidden}, {store.rows:,}"
        f" rows, {our_epochs} epochs of ours, {options.epochs} of the peers,"
        f" batch {options.batch_size}, {options.seeds} seeds\n"
    )
    print("| layer | target | trainer | lr | FVU | seeds | ours is | L0 | before | dead | s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    found = []
    for layer, target in itertools.product(layers, options.targets):
        some = lines(bench, layer, target, options)
        print_lines(some)
        found += some
    if installed("matplotlib"):
        plot(found, options.folder / "quality.svg")
        print(f"\n{options.folder / 'quality.svg'}")


def main() -> None:
    """Print the table, and plot it."""
    options = parsed()
    with recording("quality", options):
        tables(options)


if __name__ == "__main__":
    main()
