"""Tokenising in the background beside a thread that must not wait: `python benchmarks/tokenise.py`.

A model on a GPU is driven by one thread that starts thousands of small operations a second. Here
that thread adds up tiny tensors, while another one tokenises: with the memory of words, which holds
the interpreter, and with the tokenizer's own threads, which do not. Medians of alternating repeats;
the text is that of pydoc, tokens are those of the packaged model.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import threading
import time
from importlib.metadata import version
from pathlib import Path

import torch

from ghosttrack_cli.model.found import find_model
from ghosttrack_cli.model.loading import load_parts
from ghosttrack_cli.settings.schema import ModelSettings
from ghosttrack_cli.text.tokens import Encoder
from record import add_option, figure, recording

DEMO = Path(__file__).parents[1] / "src" / "ghosttrack_cli" / "demo"


class Tokenising:
    """A thread that tokenises the same texts again and again, and counts tokens."""

    def __init__(self, encoder: Encoder, texts: list[str]) -> None:
        self._encoder, self._texts = encoder, texts
        self._stop = threading.Event()
        self._tokens = 0
        self._start = time.perf_counter()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._tokens += sum(map(len, self._encoder.encode(self._texts)))

    def end(self) -> float:
        """Tokens a second."""
        self._stop.set()
        self._thread.join()
        return self._tokens / (time.perf_counter() - self._start)


def operations(seconds: float) -> float:
    """Small operations a second that this thread starts."""
    values, count, start = torch.zeros(64), 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(100):
            torch.add(values, 1.0)
        count += 100
    return count / seconds


def tables(options: argparse.Namespace) -> None:
    """Measure, print and record."""
    from pydoc_data.topics import topics

    print(f"{platform.platform()}, {os.cpu_count()} CPU cores, tokenizers {version('tokenizers')}")
    torch.set_num_threads(1)
    tokenizer = load_parts(find_model(ModelSettings(name=str(DEMO), device="cpu"))).tokenizer
    texts = list(topics.values())
    encoders = {
        "memory of words": Encoder(tokenizer),
        "the tokenizer's threads": Encoder(tokenizer, remember_words=False),
    }
    alone: list[float] = []
    beside: dict[str, list[tuple[float, float]]] = {name: [] for name in encoders}
    for _ in range(options.repeats):
        alone.append(operations(options.seconds))
        for name, encoder in encoders.items():
            thread = Tokenising(encoder, texts)
            speed = operations(options.seconds)
            beside[name].append((speed, thread.end()))
    base = statistics.median(alone)
    print(f"\n{'':<28}{'operations/s':>14}{'of alone':>10}{'tokens/s':>14}")
    print(f"{'nothing in the background':<28}{base:>14,.0f}{1:>10.3f}")
    figure("tokenise", background="nothing", operations_per_second=base, share_of_alone=1.0)
    for name, found in beside.items():
        speed, tokens = (statistics.median(values) for values in zip(*found, strict=True))
        figure(
            "tokenise",
            background=name,
            operations_per_second=speed,
            share_of_alone=speed / base,
            tokens_per_second=tokens,
        )
        print(f"{name:<28}{speed:>14,.0f}{speed / base:>10.3f}{tokens:>14,.0f}")


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=5)
    add_option(parser)
    options = parser.parse_args()
    with recording("tokenise", options):
        tables(options)


if __name__ == "__main__":
    main()
