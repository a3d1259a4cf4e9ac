"""Interpretation speed: what the collector adds to the forward pass and the encoder.

A model of GPT-2 small's size with random weights, SAEs with about 70 active features a row, windows
of random tokens with a realistic distribution. `collector` is everything that INTERPRET asks to be
known about each feature; `metrics` is finding the events, reconstruction and its sums. `original's
way` is one pass over the corpus for each feature, measured for three features on part of the rows
and extrapolated. SAEDashboard, where it is installed, runs on the same rows, token ids and SAE for
256 of the features and is extrapolated to all of them.

Run: python benchmarks/interpret.py [--rows 65536] [--device auto]
"""

from __future__ import annotations

import argparse
import platform
import resource
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers

from ghosttrack_cli.interpretation.collect.collector import Collector, CollectorShape
from ghosttrack_cli.interpretation.collect.events import Rows
from ghosttrack_cli.interpretation.collect.layer_pass import LayerPass
from ghosttrack_cli.interpretation.collect.row_batch import RowBatch
from ghosttrack_cli.interpretation.features.weight_directions import decoder_neighbours, logit_lens
from ghosttrack_cli.machine.devices import resolve_device
from ghosttrack_cli.machine.memory import keep_freed_memory
from ghosttrack_cli.model.found import find_model
from ghosttrack_cli.model.identity import ModelIdentity
from ghosttrack_cli.model.loading import LoadedModel, load_parts
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.settings.schema import ModelSettings
from peers import installed
from record import add_option, figure, recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DEMO = Path(__file__).parents[1] / "src" / "ghosttrack_cli" / "demo"
LAYER, LAYERS, WIDTH, VOCABULARY, CONTEXT = 6, 12, 768, 50_257, 128
ACTIVE, BATCH_ROWS = 70, 4096
PROMPTS, PROMPT_TOKENS = 1000, 14
SEED_FEATURES = 3


@dataclass
class Clock:
    """Seconds by name; `wrap` times a function and what it gives later."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)

    def time(self, name: str, run: Callable[[], Any]) -> Any:
        """Run, wait for the device, note the seconds."""
        start = time.perf_counter()
        result = run()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        return result


class TimedCollector(Collector):
    """A collector that knows what it costs."""

    clock: Clock

    def take(self, *given: Any) -> Any:
        """Timed."""
        return self.clock.time("collector", lambda: super(TimedCollector, self).take(*given))

    def end_batch(self, *given: Any) -> None:
        """Timed."""
        self.clock.time("collector", lambda: super(TimedCollector, self).end_batch(*given))


def configuration() -> transformers.GPT2Config:
    """The shape of GPT-2 small."""
    return transformers.GPT2Config(n_layer=LAYERS, n_embd=WIDTH, vocab_size=VOCABULARY)


def gpt2_small(device: torch.device) -> ResidualModel:
    """GPT-2 small with random weights and the demo's tokenizer, which is only there to be asked."""
    torch.manual_seed(0)
    model: Any = transformers.GPT2LMHeadModel(configuration())
    model.eval().to(device)
    parts = load_parts(find_model(ModelSettings(name=str(DEMO), device="cpu")))
    identity = ModelIdentity("random", None, "gpt2", "0" * 64, "0" * 64, (VOCABULARY - 1,))
    return ResidualModel(LoadedModel(model, parts.tokenizer, identity, 1024))


def windows(rows: int, device: torch.device) -> list[torch.Tensor]:
    """Batches of token ids (B, CONTEXT), frequent tokens first as in text."""
    generator = np.random.default_rng(0)
    ranks = (generator.pareto(0.8, rows) * 10).astype(np.int64) % (VOCABULARY - 1)
    ids = torch.from_numpy(ranks).view(-1, BATCH_ROWS // CONTEXT, CONTEXT)
    return list(ids.to(device))


def batch_of(number: int, ids: torch.Tensor, x: torch.Tensor) -> RowBatch:
    """A batch with the residual stream x (B, T, D) of one layer."""
    n = ids.numel()
    first = number * n
    window = np.arange(n) // CONTEXT
    everything, nothing = np.ones(n, bool), np.zeros(n, np.int64)
    rows = Rows(
        token_ids=ids.flatten().cpu().numpy(),
        numbers=np.arange(first, first + n),
        windows=window,
        documents=window + first // CONTEXT,
        positions=np.arange(n) % CONTEXT,
        kept=everything,
        counted=everything,
        answers=nothing,
        questions=nothing,
    )
    stream = x.flatten(0, 1).float()
    return RowBatch(rows, {LAYER: stream}, None, texts=0, windows=len(ids))


def sae_for(d_hidden: int, x: torch.Tensor) -> JumpReLUSAE:
    """Random directions with thresholds at which each fires on ACTIVE / F of the rows x (N, D)."""
    sae = JumpReLUSAE(WIDTH, d_hidden).to(x.device)
    sae.b_enc.copy_(-(x.mean(dim=0) @ sae.W_enc))
    share = 1 - ACTIVE / d_hidden
    for start in range(0, d_hidden, 1024):
        part = slice(start, start + 1024)
        h = x @ sae.W_enc[:, part] + sae.b_enc[part]
        sae.threshold[part] = torch.quantile(h, share, dim=0).clamp(min=1e-6)
    return sae


def collector_for(sae: JumpReLUSAE, clock: Clock) -> TimedCollector:
    """The collector as the stage makes it, with default settings."""
    shape = CollectorShape(sae.d_hidden, VOCABULARY, kept=10, side=16, seed=0)
    neighbours = clock.time("neighbours", lambda: decoder_neighbours(sae.W_dec))
    collector = TimedCollector(shape, neighbours.indices.numpy())
    collector.clock = clock
    return collector


def fitted_sae(model: ResidualModel, d_hidden: int, batches: Sequence[torch.Tensor]) -> JumpReLUSAE:
    """An SAE with the right number of active features on these rows."""
    first = torch.cat([model.residuals(ids, [LAYER])[LAYER].flatten(0, 1) for ids in batches[:2]])
    return sae_for(d_hidden, first.float())


def measure(model: ResidualModel, sae: JumpReLUSAE, batches: Sequence[torch.Tensor]) -> Clock:
    """One pass as the stage makes it, and beside it the encoder alone."""
    clock = Clock(model.device)
    collector = collector_for(sae, clock)
    one = LayerPass(LAYER, sae, collector, model.identity.special_token_ids, None)
    _, unembedding = model.unembed()
    clock.time("logit lens", lambda: logit_lens(sae.W_dec, unembedding, VOCABULARY))
    for number, ids in enumerate(batches):
        x = clock.time("forward", partial(model.residuals, ids, [LAYER]))[LAYER]
        batch = batch_of(number, ids, x)
        clock.time("encoder", partial(encode, one, batch))
        clock.time("pass", partial(one.update, batch))
    clock.seconds["L0"] = one.kept.l0 / one.kept.rows
    state = sum(array.nbytes for array in collector.arrays().values())
    clock.seconds["state"] = state
    return clock


@torch.inference_mode()
def encode(one: LayerPass, batch: RowBatch) -> None:
    """The encoder's product alone, block by block."""
    for _ in one.blocks(batch.x[LAYER]):
        pass


@torch.inference_mode()
def seeds_way(model: ResidualModel, sae: JumpReLUSAE, batches: Sequence[torch.Tensor]) -> float:
    """Seconds a row and feature of the original's way: model and encoder anew for every feature."""
    ids = batches[0]
    start = time.perf_counter()
    for feature in range(SEED_FEATURES):
        acts = sae.encode(model.residuals(ids, [LAYER])[LAYER].flatten(0, 1).float())
        acts[:, feature].topk(10)
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / (SEED_FEATURES * ids.numel())


def lines(rows: int, device: torch.device) -> Iterator[str]:
    """The table."""
    model, batches = gpt2_small(device), windows(rows, device)
    model.residuals(batches[0], [LAYER])
    yield (
        f"{'F':>7} {'L0':>5} {'forward':>8} {'encoder':>8} {'collector':>9} {'metrics':>8}"
        f" {'share':>6} {'state':>8} {'tokens/s':>9}  original's way, extrapolated"
    )
    for d_hidden in (4096, 24_576):
        sae = fitted_sae(model, d_hidden, batches)
        clock = measure(model, sae, batches)
        yield row_of(d_hidden, rows, clock, seeds_way(model, sae, batches))
        yield from peer(sae, batches, clock)
        if d_hidden == 4096:
            yield from promises(rows, clock)


def peer(sae: JumpReLUSAE, batches: Sequence[torch.Tensor], clock: Clock) -> Iterator[str]:
    """SAEDashboard's collector beside ours, if it is here and there is no GPU."""
    version = installed("sae-dashboard")
    if version is None or clock.device.type != "cpu":
        return
    from dashboard import FEATURES_A_PASS, seconds_for_all

    seconds = seconds_for_all(configuration(), LAYER, sae, batches)
    ours = clock.seconds["pass"] + clock.seconds["forward"]
    figure("SAEDashboard", d_hidden=sae.d_hidden, seconds=seconds, ours_seconds=ours)
    yield (
        f"        SAEDashboard {version}: {seconds:,.0f} s, extrapolated from {FEATURES_A_PASS} of"
        f" {sae.d_hidden:,} features on the same rows; {seconds / ours:,.0f} times ours"
    )


def row_of(d_hidden: int, rows: int, clock: Clock, naive: float) -> str:
    """One line: microseconds a row, and the collector's share over forward and encoder."""
    seconds = clock.seconds
    micro = {name: 1e6 * seconds[name] / rows for name in ("forward", "encoder", "collector")}
    whole = seconds["pass"] + seconds["forward"]
    metrics = 1e6 * (seconds["pass"] - seconds["encoder"] - seconds["collector"]) / rows
    share = micro["collector"] / (micro["forward"] + micro["encoder"])
    figure(
        "interpretation",
        d_hidden=d_hidden,
        rows=rows,
        l0=seconds["L0"],
        forward_microseconds=micro["forward"],
        encoder_microseconds=micro["encoder"],
        collector_microseconds=micro["collector"],
        metrics_microseconds=metrics,
        collector_share=share,
        tokens_per_second=rows / whole,
        original_way_seconds=naive * rows * d_hidden,
    )
    return (
        f"{d_hidden:>7,} {seconds['L0']:>5.1f}"
        f" {micro['forward']:>6.1f}us {micro['encoder']:>6.1f}us {micro['collector']:>7.1f}us"
        f" {metrics:>6.1f}us {share:>6.1%}"
        f" {seconds['state'] / 1e6:>6.0f}MB {rows / whole:>9,.0f}"
        f"  {naive * rows * d_hidden / 3600:,.1f} h, here {whole:.1f} s;"
        f" once: neighbours {seconds['neighbours']:.1f} s, logit lens {seconds['logit lens']:.1f} s"
    )


def promises(rows: int, clock: Clock) -> Iterator[str]:
    """1000 TruthfulQA prompts, 12 layers, F = 4096: what the measured rates say."""
    seconds, tokens = clock.seconds, PROMPTS * PROMPT_TOKENS
    forward = seconds["forward"] / rows * tokens * LAYERS / (LAYER + 1)
    layers = LAYERS * (seconds["pass"] / rows * tokens + seconds["neighbours"])
    lens = LAYERS * seconds["logit lens"]
    yield (
        f"        1000 TruthfulQA prompts, {LAYERS} layers, F = 4096:"
        f" {forward + layers + lens:.0f} s by these rates, without losses and reports"
        f" (original: {15 * LAYERS} minutes on an A100)"
    )


def tables(arguments: argparse.Namespace) -> None:
    """Measure, print and record."""
    device = resolve_device(arguments.device)
    if device.type == "cpu":
        keep_freed_memory()  # as the stage does
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor()
    print(
        f"{platform.machine()} {name}, {torch.get_num_threads()} threads, Python"
        f" {sys.version.split()[0]}, torch {torch.__version__}, numpy {np.__version__}"
    )
    rows = -(-arguments.rows // BATCH_ROWS) * BATCH_ROWS
    print(f"{rows:,} rows, layer {LAYER} of {LAYERS}, D = {WIDTH}; microseconds a row")
    for text in lines(rows, device):
        print(text, flush=True)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


def main() -> None:
    """Print machine, versions and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=65_536, help="rows of the pass")
    parser.add_argument("--device", default="auto")
    add_option(parser)
    arguments = parser.parse_args()
    with recording("interpret", arguments):
        tables(arguments)


if __name__ == "__main__":
    main()
