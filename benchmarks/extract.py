"""Extraction speed: tokens a second into the store beside a bare forward pass of the same blocks.

Each table's cells are medians over repeats that alternate between the ways, in one process.
`bare` is the same blocks over the same windows with nothing else: no hooks, no store, no text.
Beside it: the naive way, and SAELens' cached-activations runner where `sae-lens` is installed (one
layer a run). On a machine with CUDA, the GPU table follows.
Run: python benchmarks/extract.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

import numpy as np
import torch
import transformers

from ghosttrack_cli.extraction import batch_size, run
from ghosttrack_cli.extraction.task import Task
from ghosttrack_cli.model.architectures import fuse_activations
from ghosttrack_cli.model.found import find_model
from ghosttrack_cli.model.identity import ModelIdentity
from ghosttrack_cli.model.loading import LoadedModel, load_parts
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.settings.schema import CorpusSettings, ExtractionSettings, ModelSettings
from ghosttrack_cli.store.format.commit_record import new_commit
from ghosttrack_cli.text.corpus import open_corpus
from ghosttrack_cli.text.windows import TokenWindows, WindowBatch
from peers import installed
from record import add_option, figure, recording
from saelens_cache import caching_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ghosttrack_cli.store.format.identity import StoreIdentity
    from ghosttrack_cli.text.documents import Corpus

DEMO = Path(__file__).parents[1] / "src" / "ghosttrack_cli" / "demo"


@dataclass(frozen=True)
class Case:
    """One row of a table: so many tokens of a model through these layers."""

    title: str
    model: ResidualModel
    corpus: Corpus
    layers: tuple[int, ...]
    tokens: int
    context: int
    scratch: Path

    @property
    def windows(self) -> int:
        """Windows a pass, as the stage would choose them."""
        return batch_size.first_guess(self.model, self.layers, self.context)

    def batches(self) -> list[WindowBatch]:
        """The windows of this case, tokenised beforehand."""
        needed = -(-self.tokens // (self.windows * self.context))
        text = TokenWindows(
            self.corpus,
            self.model.tokenizer,
            context_length=self.context,
            batch_size=self.windows,
        )
        with text:
            return [batch for batch, _ in zip(text, range(needed), strict=False)]


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(device: torch.device, tokens: int, work: Callable[[], object]) -> float:
    """Tokens a second of `work`."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return tokens / (time.perf_counter() - start)


# --- the ways ---------------------------------------------------------------------------------


def stock_prefix(model: Any, blocks: int) -> Any:
    """A plain transformers model of the first `blocks` blocks, weights shared, no final norm."""
    config = model.config.__class__.from_dict(model.config.to_dict())
    config.num_hidden_layers = blocks
    body = type(model.base_model)(config).to(model.device, model.dtype).eval()
    body.load_state_dict(model.base_model.state_dict(), strict=False, assign=True)
    body.ln_f = torch.nn.Identity()
    return body


def bare(case: Case, body: Any, batches: list[WindowBatch]) -> Callable[[], None]:
    """Only the forward pass of `body`."""

    def work() -> None:
        with torch.inference_mode():
            for batch in batches:
                ids = torch.from_numpy(batch.input_ids).to(case.model.device, non_blocking=True)
                body(input_ids=ids, use_cache=False)

    return work


def naive(case: Case, model: Any, batches: list[WindowBatch]) -> Callable[[], None]:
    """The full forward pass with logits and all hidden states, each saved with numpy."""

    def work() -> None:
        with torch.no_grad():
            for index, batch in enumerate(batches):
                ids = torch.from_numpy(batch.input_ids).to(case.model.device)
                states = model(input_ids=ids, output_hidden_states=True).hidden_states
                for layer in case.layers:
                    rows = states[layer + 1].float().cpu().numpy()
                    np.save(case.scratch / f"naive-{layer}-{index}.npy", rows)

    return work


def stored(case: Case) -> Callable[[], None]:
    """`ghosttrack extract` as it is, from text to a sealed store."""

    def work() -> None:
        settings = ExtractionSettings(
            tokens=case.tokens, context_length=case.context, batch_size=case.windows
        )
        task = Task(
            case.model, case.corpus, case.layers, settings, case.scratch / "activations.zarr"
        )
        run.run(task, None, overwrite=True)

    return work


class NullWriter:
    """A store that takes rows and forgets them."""

    def __init__(self, identity: StoreIdentity, layers: tuple[int, ...], asked_rows: int) -> None:
        self.layers, self.asked_rows, self.position, self.cursor = layers, asked_rows, 0, None
        self.commit = replace(new_commit(identity, asked_rows).with_layers(layers), asked_rows=0)
        self.rows, self.finished, self.full = 0, False, True

    @classmethod
    def open(
        cls,
        _path: Path,
        identity: StoreIdentity,
        layers: tuple[int, ...],
        *,
        asked_rows: int,
        overwrite: bool = False,
    ) -> NullWriter:
        """Take the place of `StoreWriter.open`."""
        assert overwrite
        return cls(identity, layers, asked_rows)

    def append(self, _rows: object, token_ids: Any, *_: object, **__: object) -> None:
        """Count the rows."""
        self.position += len(token_ids)

    def seal(self, **_: object) -> None:
        """Nothing to write."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


@contextmanager
def null_store() -> Iterator[None]:
    """Extraction into nothing."""
    with mock.patch.object(run, "StoreWriter", NullWriter):
        yield


@contextmanager
def ready_windows(batches: list[WindowBatch]) -> Iterator[None]:
    """Extraction from windows that are tokenised already."""
    with mock.patch.object(TokenWindows, "__iter__", lambda _: iter(batches)):  # noqa: PT008
        yield


def within(work: Callable[[], None], *contexts: Callable[[], Any]) -> Callable[[], None]:
    """`work` inside fresh contexts at every call."""

    def inside() -> None:
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context())
            work()

    return inside


def tokenised(case: Case, batches: list[WindowBatch]) -> Callable[[], None]:
    """Only text to windows."""

    def work() -> None:
        text = TokenWindows(
            case.corpus, case.model.tokenizer, context_length=case.context, batch_size=case.windows
        )
        with text:
            for _ in zip(text, batches, strict=False):
                pass

    return work


# --- measuring and printing -------------------------------------------------------------------


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Growth of this process's resident memory inside the block, in MB, as its largest sample."""
    peak: list[float] = [0.0]
    done = threading.Event()
    start = resident()

    def sample() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], resident() - start)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def resident() -> float:
    """Resident memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def medians(
    case: Case, ways: dict[str, Callable[[], None]], repeats: int, tokens: int
) -> dict[str, float]:
    """The median speed of each way; every repeat runs all of them, so that load hits all alike."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for work in ways.values():
        work()  # once unmeasured: lazy imports, allocator, kernels
    for _ in range(repeats):
        for name, work in ways.items():
            clean(case.scratch)
            speeds[name].append(timed(case.model.device, tokens, work))
    return {name: statistics.median(values) for name, values in speeds.items()}


def clean(scratch: Path) -> None:
    """Delete what a way left, and let the disk come to rest."""
    for made in [*scratch.glob("activations.zarr"), *scratch.glob("saelens")]:
        shutil.rmtree(made)
    for made in scratch.glob("naive-*.npy"):
        made.unlink()
    os.sync()


def print_table(title: str, rows: list[dict[str, str]]) -> None:
    """Print rows under their columns, aligned."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[row.get(name, "") for name in columns] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(columns, *cells, strict=True)]
    print(f"\n{title}")
    for row in rows:
        figure(title, **row)
    for line in [columns, *cells]:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))


def print_machine() -> None:
    """Print what this was measured on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    print(f"{platform.platform()}, {os.cpu_count()} cores, {gpu}")
    print(
        f"python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, {torch.get_num_threads()} threads, "
        f"SAELens {installed('sae-lens') or 'not installed'}"
    )


def speed(value: float) -> str:
    """A number as the tables show it."""
    return f"{value:,.0f}"


# --- the models and texts ---------------------------------------------------------------------


def write_corpus(folder: Path, copies: int) -> Corpus:
    """The topics of pydoc, often enough that no case runs out of text."""
    from pydoc_data.topics import topics

    for copy in range(copies):
        for index, text in enumerate(topics.values()):
            (folder / f"{copy:04d}-{index:03d}.txt").write_text(text, encoding="utf-8")
    return open_corpus(CorpusSettings(source=str(folder)), None)


def gpt2_small(tokenizer: Any, device: str, dtype: torch.dtype) -> ResidualModel:
    """GPT-2 small with random weights and the demo's tokenizer."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(pad_token_id=None)
    make: Any = transformers.GPT2LMHeadModel
    model = make(config).to(device, dtype)
    model.train(mode=False)
    identity = ModelIdentity("gpt2-small-random", None, "gpt2", "0" * 64, "0" * 64, (0,))
    return ResidualModel(LoadedModel(model, tokenizer, identity, config.n_positions))


def on_cpu(scratch: Path, corpus: Corpus, *, quick: bool) -> None:
    """Measure and print the table of the CPU."""
    start = time.perf_counter()
    demo = ResidualModel(load_parts(find_model(ModelSettings(name=str(DEMO), device="cpu"))))
    loading = time.perf_counter() - start
    figure("model load", seconds=loading)
    print(f"model load, apart from what follows: {loading:.2f} s (demo)")
    small = gpt2_small(demo.tokenizer, "cpu", torch.float32)
    # Several chunks of 8192 rows each, so that writing has become steady.
    sizes = [(demo, "demo", 256, 262_144), (small, "GPT-2 small", 1024, 24_576)]
    repeats = 1 if quick else 3
    rows = []
    for model, name, context, tokens in sizes:
        for layers in [(model.n_layers // 2,), tuple(range(model.n_layers))]:
            title = f"{name}, layer {layers[0]}" if len(layers) == 1 else f"{name}, all layers"
            case = Case(title, model, corpus, layers, tokens, context, scratch)
            rows.append(cpu_row(case, repeats))
            print(".", end="", flush=True, file=sys.stderr)
    print_table("CPU, float32, tokens/s", rows)


def cpu_row(case: Case, repeats: int) -> dict[str, str]:
    """Measure one case on the CPU."""
    batches = case.batches()
    tokens = sum(batch.input_ids.size for batch in batches)
    case = replace(case, tokens=tokens)
    prefix = stock_prefix(case.model.model, case.layers[-1] + 1)
    fused = stock_prefix(case.model.model, case.layers[-1] + 1)
    fuse(fused)
    full = plain_copy(case.model.model)
    ways = {
        "bare": bare(case, fused, batches),
        "bare, stock GELU": bare(case, prefix, batches),
        "null store": within(stored(case), null_store, lambda: ready_windows(batches)),
        "into the store": stored(case),
        "naive": naive(case, full, batches),
    }
    if installed("sae-lens") and len(case.layers) == 1:
        config, (layer,) = case.model.model.config, case.layers
        ways["SAELens"] = caching_run(config, layer, batches, case.scratch)
    found = medians(case, ways, repeats, tokens)
    text = timed(case.model.device, tokens, tokenised(case, batches))
    with peak_memory() as peak:
        stored(case)()
    return {
        "case": case.title,
        "tokens": speed(tokens),
        **{name: speed(value) for name, value in found.items()},
        "of bare": f"{found['into the store'] / found['bare']:.2f}",
        "of stock": f"{found['into the store'] / found['bare, stock GELU']:.2f}",
        "tokenise alone": speed(text),
        "peak MB": speed(peak[0]),
    }


def fuse(body: Any) -> None:
    """Give `body` the activation kernel that the product uses."""
    fuse_activations(body)


def plain_copy(model: Any) -> Any:
    """The model as transformers builds it."""
    make: Any = type(model)
    copy = make(model.config).to(model.device, model.dtype)
    copy.load_state_dict(model.state_dict(), strict=False)
    copy.train(mode=False)
    return copy


# --- CUDA -------------------------------------------------------------------------------------


def on_cuda(scratch: Path, corpus: Corpus, *, quick: bool) -> None:
    """Measure and print the table of the GPU."""
    tokenizer = load_parts(find_model(ModelSettings(name=str(DEMO), device="cpu"))).tokenizer
    model = gpt2_small(tokenizer, "cuda", torch.bfloat16)
    tokens = 1_048_576 if quick else 4_194_304
    rows = []
    for layers in [(6,), tuple(range(model.n_layers))]:
        title = "layer 6" if len(layers) == 1 else "12 layers"
        case = Case(title, model, corpus, layers, tokens, 1024, scratch)
        rows.append(cuda_row(case, 3))
    print_table("CUDA, GPT-2 small, bfloat16, context 1024, tokens/s", rows)
    disk = raw_disk(scratch)
    figure("disk alone", gigabytes_per_second=disk)
    print(f"disk alone, raw writes with fsync: {disk:.2f} GB/s")


def cuda_row(case: Case, repeats: int) -> dict[str, str]:
    """Measure one case on the GPU."""
    batches = case.batches()
    tokens = sum(batch.input_ids.size for batch in batches)
    case = replace(case, tokens=tokens)
    blocks = case.layers[-1] + 1
    stock, fused = (stock_prefix(case.model.model, blocks) for _ in range(2))
    fuse(fused)
    compiled, seconds = compile_blocks(stock_prefix(case.model.model, blocks), batches[0])
    ready = lambda: ready_windows(batches)  # noqa: E731
    ways = {
        "stock": bare(case, stock, batches),
        "fused GELU": bare(case, fused, batches),
        "compiled": bare(case, compiled, batches),
        "null store": within(stored(case), null_store, ready),
        "null store, from text": within(stored(case), null_store),
    }
    found = medians(case, ways, repeats, tokens)
    # Writing is bound by the disk: less of it, and once, is enough.
    fewer = replace(case, tokens=min(tokens, 8_000_000_000 // (1536 * len(case.layers))))
    torch.cuda.reset_peak_memory_stats()
    with peak_memory() as peak:
        written = timed(case.model.device, fewer.tokens, stored(fewer))
    size = len(case.layers) * case.model.d_model * 2
    return {
        "case": case.title,
        "batch": str(case.windows),
        **{name: speed(value) for name, value in found.items()},
        "into the store": speed(written),
        "GB/s": f"{written * size / 1e9:.2f}",
        "tokenise alone": speed(timed(case.model.device, tokens, tokenised(case, batches))),
        "compile s": f"{seconds:.0f}",
        "host peak MB": speed(peak[0]),
        "GPU peak MB": speed(torch.cuda.max_memory_allocated() / 1e6),
    }


def compile_blocks(body: Any, batch: WindowBatch) -> tuple[Any, float]:
    """Each block compiled by itself, and the seconds that the first pass took."""
    for block in body.h:
        block.forward = torch.compile(block.forward)
    start = time.perf_counter()
    with torch.inference_mode():
        body(input_ids=torch.from_numpy(batch.input_ids).cuda(), use_cache=False)
    torch.cuda.synchronize()
    return body, time.perf_counter() - start


def raw_disk(scratch: Path) -> float:
    """GB/s of plain writes and one fsync."""
    block = os.urandom(2**24)
    path = scratch / "raw"
    start = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(128):
            file.write(block)
        os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    path.unlink()
    return 128 * len(block) / seconds / 1e9


def tables(options: argparse.Namespace) -> None:
    """Measure, print and record."""
    print_machine()
    scratch = Path(tempfile.mkdtemp(prefix="ghosttrack-bench-", dir=options.scratch))
    try:
        (scratch / "corpus").mkdir()
        on_gpu = torch.cuda.is_available() and options.only != "cpu"
        corpus = write_corpus(scratch / "corpus", copies=40 if on_gpu else 3)
        if options.only != "cuda":
            on_cpu(scratch, corpus, quick=options.quick)
        if on_gpu:
            on_cuda(scratch, corpus, quick=options.quick)
        else:
            print("\nCUDA: unmeasured, no device here")
    finally:
        shutil.rmtree(scratch)


def main() -> None:
    """Measure what this machine can measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats and tokens")
    parser.add_argument("--only", choices=["cpu", "cuda"], help="one of the tables")
    parser.add_argument("--scratch", type=Path, help="folder on the disk to measure")
    add_option(parser)
    options = parser.parse_args()
    with recording("extract", options):
        tables(options)


if __name__ == "__main__":
    main()
