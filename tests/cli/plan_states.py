"""Workspaces in the states that commands find, and the commands that are tried on them."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from ghosttrack_cli.cli.session import Session
from ghosttrack_cli.store.format.layout import previous_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest

DATA = Path("ghosttrack-data")
TRAINED = ("--d-hidden", "48", "--target-l0", "5", "--epochs", "1")
WIDER = ("--d-hidden", "64", "--target-l0", "6", "--epochs", "3")
STATES = (
    "nothing", "partial", "full", "context", "replaced", "begun", "trained", "mixed", "grown",
    "reported",
)  # fmt: skip
Command = tuple[str, ...]


class StopAfter:
    """Asks to stop, as Ctrl-C does, once it was asked so often."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def __call__(self) -> int | None:
        self.calls -= 1
        return signal.SIGINT if self.calls < 0 else None


def stopped(monkeypatch: pytest.MonkeyPatch, after: int, run: Callable[[], int]) -> None:
    """Run a command that is stopped on its way."""
    with monkeypatch.context() as patch:
        patch.setattr(Session, "_announced", lambda *_: StopAfter(after))
        assert run() == 130


def write_texts() -> None:
    """Texts of all kinds in the folder that commands run in."""
    long = "Other words, and more of them than are needed. " * 90
    for name, text in {
        "column": {"body": long},
        "short": {"text": "a"},
        "other": {"text": long},
    }.items():
        Path(f"{name}.jsonl").write_text(json.dumps(text) + "\n")
    Path("prompts.txt").write_text("A prompt that is read, and read again. " * 9)


def make_state(
    name: str, base: Command, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bring the workspace in the folder that commands run in into a state."""
    write_texts()
    steps: list[Command] = []
    if name == "partial":
        stopped(monkeypatch, 5, lambda: run("extract", *base))
    elif name == "context":
        steps = [("extract", *base, "--context-length", "16")]
    elif name != "nothing":
        steps = [("extract", *base)]
    later: dict[str, list[Command]] = {
        "trained": [("train", *TRAINED)],
        "mixed": [("train", "--layers", "0", *WIDER), ("train", "--layers", "2", *TRAINED)],
        "grown": [("train", *TRAINED), ("extract", "--tokens", "4k")],
        "reported": [("train", *TRAINED), ("interpret",)],
    }
    for step in [*steps, *later.get(name, [])]:
        assert run(*step) == 0, step
    if name == "begun":
        stopped(monkeypatch, 1, lambda: run("train", "--layers", "0", *WIDER))
    if name == "replaced":
        store = DATA / "activations.zarr"
        store.rename(previous_path(store))
        store.mkdir()


def _drawn(
    options: Mapping[str, tuple[str, ...]], switches: tuple[str, ...]
) -> st.SearchStrategy[Command]:
    """Up to three of the options with one of their values, and any of the switches."""
    pairs = [(name, value) for name, values in options.items() for value in values]
    chosen = st.lists(st.sampled_from(pairs), max_size=3, unique_by=lambda pair: pair[0])
    flags = st.sets(st.sampled_from(switches)) if switches else st.just(set[str]())
    return st.tuples(chosen, flags).map(
        lambda both: tuple(word for pair in both[0] for word in pair) + tuple(sorted(both[1]))
    )


LAYERS = {"--layers": ("0", "1", "0,2", "all", "middle", "9")}
EXTRACTION = {
    **LAYERS,
    "--tokens": ("2k", "4k", "10M"),
    "--context-length": ("16", "64"),
    "--store-dtype": ("bfloat16",),
    "--compress": ("lz4",),
    "--corpus": ("column.jsonl", "short.jsonl", "other.jsonl", "missing.jsonl"),
    "--min-characters": ("1", "100000"),
    "--device": ("mps",),
}
TRAINING = {
    "--d-hidden": ("48", "64", "0"),
    "--target-l0": ("5", "6", "5000"),
    "--epochs": ("2",),
    "--seed": ("7",),
    "--preset": ("original",),
    "--log-to": ("nothing",),
}
INTERPRETATION = {"--texts": ("prompts.txt", "typo.txt", "short.jsonl", "store")}
OVERWRITE = ("--overwrite",)


def commands(base: Command) -> st.SearchStrategy[Command]:
    """Command lines that have a plan; `base` names model and text for those that need them."""
    parts: dict[str, tuple[Command, st.SearchStrategy[Command]]] = {
        "extract": (base, _drawn(EXTRACTION | {"--batch-size": ("3",)}, OVERWRITE)),
        "train": ((), _drawn(LAYERS | TRAINING | {"--device": ("mps",)}, OVERWRITE)),
        "interpret": (
            (),
            _drawn(
                LAYERS
                | INTERPRETATION
                | {"--max-tokens": ("500",), "--top-examples": ("3",), "--checkpoint": ("final",)},
                OVERWRITE,
            ),
        ),
        "run": (base[:-2], _drawn(EXTRACTION | TRAINING | INTERPRETATION, ())),
        "export": ((), _drawn(LAYERS | {"--checkpoint": ("final", "worst"), "--to": ("out",)}, ())),
    }
    return st.one_of(
        [st.builds(_joined, st.just((name, *given)), more) for name, (given, more) in parts.items()]
    )


def _joined(first: Command, more: Command) -> Command:
    return (*first, *more)
