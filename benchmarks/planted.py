"""Which planted features are found again, by how rarely they fire: `python benchmarks/planted.py`.

Rows are sums of few of many known directions, whose rates lie evenly on a logarithmic scale over
four decades, as those of features in language models do, and a little noise. Each SAE is trained as
`ghosttrack train` does by default but for `revive_rows`; a direction counts as found if a decoder
row has a cosine above 0.9 with it.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.settings.schema import SAESettings, SAETrainingSettings
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.training.trainer import Trainer
from ghosttrack_cli.workspace import Workspace
from made_up import BLOCK_ROWS, LAYER, write_store
from record import add_option, figure, recording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

HIGHEST_RATE, LOWEST_RATE = 0.15, 1.5e-5
NOISE = 0.02
FOUND = 0.9
BANDS = (1.0, 0.025, 6e-3, 2e-3, 8e-4, 3e-4, 0.0)


@dataclass(frozen=True)
class Planted:
    """Unit directions (P, D) and how often a row has each of them, (P,)."""

    directions: Floats
    rates: Floats

    @classmethod
    def drawn(cls, count: int, d_model: int) -> Planted:
        """Random directions with rates from often to rarely."""
        directions = np.random.default_rng(0).standard_normal((count, d_model), dtype=np.float32)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        return cls(directions, np.geomspace(HIGHEST_RATE, LOWEST_RATE, count, dtype=np.float32))

    def rows(self, rows: int) -> Iterator[Floats]:
        """Blocks of rows (n, D)."""
        random = np.random.default_rng(1)
        count, d_model = self.directions.shape
        for start in range(0, rows, BLOCK_ROWS):
            n = min(BLOCK_ROWS, rows - start)
            fires = random.random((n, count), dtype=np.float32) < self.rates
            sizes = 1 + 0.3 * np.abs(random.standard_normal((n, count), dtype=np.float32))
            noise = NOISE * random.standard_normal((n, d_model), dtype=np.float32)
            yield (fires * sizes) @ self.directions + noise

    def found(self, sae: JumpReLUSAE) -> list[float]:
        """The share of directions that the SAE has, in each band of rates."""
        decoder = torch.nn.functional.normalize(sae.W_dec, dim=1)  # (F, D)
        best = (torch.from_numpy(self.directions) @ decoder.T).amax(dim=1).numpy()  # (P,)
        return [float((best[band] > FOUND).mean()) for band in self.bands()]

    def bands(self) -> list[NDArray[np.bool_]]:
        """Which directions lie in each band of rates, (P,) each."""
        edges = itertools.pairwise(BANDS)
        return [(self.rates <= high) & (self.rates > low) for high, low in edges]


def trained(
    folder: Path, d_hidden: int, target: float, given: dict[str, Any]
) -> tuple[JumpReLUSAE, dict[str, Any]]:
    """The SAE at the end of a training on the folder's store, and its figures."""
    workspace = Workspace(folder, folder)
    store = ActivationStore.open(workspace.store)
    sae = SAESettings(d_hidden=d_hidden, target_l0=target)
    training = SAETrainingSettings(
        device="cpu",
        evaluations=2,
        target_sparsity_min=0.9 * target,
        target_sparsity_max=1.1 * target,
        **given,
    )
    result = Trainer(store, LAYER, sae, training, workspace, overwrite=True).run()
    return JumpReLUSAE.load(workspace.sae(LAYER, "final")), result.metrics


def line(planted: Planted, sae: JumpReLUSAE, metrics: dict[str, Any]) -> str:
    """What was found, in a table's cells."""
    shares = planted.found(sae)
    found = float(np.average(shares, weights=[int(band.sum()) for band in planted.bands()]))
    cells = " | ".join(f"{share:.0%}" for share in [found, *shares])
    figure(
        "planted",
        d_hidden=sae.d_hidden,
        fvu=metrics["fvu"],
        dead=metrics["dead_fraction"],
        found=found,
        **{f"found_band_{number}": float(share) for number, share in enumerate(shares)},
    )
    return f"{metrics['fvu']:.4f} | {metrics['dead_fraction']:.1%} | {cells}"


def parsed() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--d-model", type=int, default=192)
    parser.add_argument("--planted", type=int, default=1024)
    parser.add_argument("--d-hidden", type=int, nargs="+", default=[1024])
    parser.add_argument("--epochs", type=int, nargs="+", default=[2])
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument(
        "--revive-rows", type=int, nargs="+", default=[0, 50_000], help="0 is the default rule"
    )
    add_option(parser)
    return parser.parse_args()


def tables(options: argparse.Namespace) -> None:
    """Measure, print and record."""
    planted = Planted.drawn(options.planted, options.d_model)
    target = float(planted.rates.sum())
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads,"
        f" torch {torch.__version__}\n{options.planted} directions, D = {options.d_model},"
        f" {options.rows:,} rows, L0 {target:.1f}, batch {options.batch_size}\n"
    )
    columns = " | ".join(f"{low:g} to {high:g}" for high, low in itertools.pairwise(BANDS))
    print(f"| F | epochs | revive_rows | FVU | dead | found | {columns} |")
    print("| --- " * (5 + len(BANDS)) + "|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_store(Workspace(folder, folder).store, options.rows, planted.rows(options.rows))
        for d_hidden, epochs, revive in itertools.product(
            options.d_hidden, options.epochs, options.revive_rows
        ):
            given = {"epochs": epochs, "batch_size": options.batch_size}
            given["revive_rows"] = revive or None
            cells = line(planted, *trained(folder, d_hidden, target, given))
            print(f"| {d_hidden} | {epochs} | {revive or 'default'} | {cells} |", flush=True)


def main() -> None:
    """Print a line for each training."""
    options = parsed()
    with recording("planted", options):
        tables(options)


if __name__ == "__main__":
    main()
