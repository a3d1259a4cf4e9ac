"""A text of row numbers, a writer loop over it, and a process that kills itself on cue.

As a program: `python -m tests.store.synthetic STORE KILL OPTIONS` runs the loop and dies by SIGKILL
at the system call of `ghosttrack_cli.files` that KILL names.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.store import kills

from ghosttrack_cli.site import Site
from ghosttrack_cli.splitmix64 import splitmix64
from ghosttrack_cli.store.format import commit_parts, segments
from ghosttrack_cli.store.format.dtypes import numpy_dtype
from ghosttrack_cli.store.format.identity import StoreIdentity
from ghosttrack_cli.store.write import committer, repair, writer
from ghosttrack_cli.store.write.writer import StoreWriter

if TYPE_CHECKING:
    from ghosttrack_cli.store.format.dtypes import Array

IDENTITY = StoreIdentity(
    model="tiny",
    model_revision=None,
    weights_sha256="ab" * 32,
    tokenizer_sha256="cd" * 32,
    special_token_ids=(0, 1),
    corpus={"kind": "rows"},
    context_length=8,
    batch_size=5,
    d_model=4,
    dtype="float32",
    chunk_rows=16,
)
BATCH_ROWS = 40


def token_ids(start: int, stop: int) -> Array:
    return (splitmix64(np.arange(start, stop, dtype=np.uint64)) % np.uint64(97)).astype(np.int32)


def doc_ids(start: int, stop: int) -> Array:
    return np.arange(start, stop, dtype=np.int64) // 23


def positions(start: int, stop: int) -> Array:
    return (np.arange(start, stop) % 8).astype(np.int32)


def activations(layer: int, start: int, stop: int, d_model: int = 4) -> Array:
    cells = np.arange(start * d_model, stop * d_model, dtype=np.uint64)
    noise = splitmix64(cells + np.uint64((layer + 1) * 10**9)) >> np.uint64(40)
    return (noise.astype(np.float32) / 2**23 - 1).reshape(-1, d_model) * np.float32(layer + 1)


def stored(identity: StoreIdentity, layer: int, start: int, stop: int) -> Array:
    """The rows as the store keeps them."""
    rows = activations(layer, start, stop, identity.d_model)
    return rows.astype(numpy_dtype(identity.dtype))


@dataclass(frozen=True)
class Plan:
    """One run of the writer loop."""

    layers: tuple[int, ...] = (1,)
    asked: int = 300
    batches: int | None = None
    """Stop after so many batches, as a signal would."""
    corpus_rows: int = 10**9
    identity: StoreIdentity = IDENTITY

    def run(self, path: Path) -> None:
        """What extraction does: from the cursor on, until full, or stopped, or out of text."""
        with StoreWriter.open(path, self.identity, self.layers, asked_rows=self.asked) as store:
            if store.finished:
                return
            index, done = store.cursor or 0, 0
            while not store.full and done != self.batches:
                start = index * BATCH_ROWS
                stop = min(start + BATCH_ROWS, self.corpus_rows)
                if start >= stop:
                    break
                self.append(store, start, stop, index)
                index, done = index + 1, done + 1
            store.seal(complete=True, cursor=index)

    def append(self, store: StoreWriter, start: int, stop: int, cursor: int) -> None:
        d_model = self.identity.d_model
        rows = {
            layer: activations(Site.of(layer).layer, start, stop, d_model) for layer in store.layers
        }
        ids = (token_ids(start, stop), doc_ids(start, stop), positions(start, stop))
        store.append(rows, *ids, cursor=cursor)


def use_small_segments(chunks: int = 4) -> None:
    """Seal a segment every few chunks, so that small stores have some."""
    for module in (committer, commit_parts, repair, segments, writer):
        module.SEGMENT_CHUNKS = chunks  # type: ignore[attr-defined]


def plan(options: dict[str, Any]) -> Plan:
    """A plan from plain JSON."""
    options = dict(options)
    identity = replace(IDENTITY, **options.pop("identity", {}))
    return Plan(identity=identity, **options | {"layers": tuple(options["layers"])})


def main() -> None:
    path, kill, options = Path(sys.argv[1]), kills.Kill(**json.loads(sys.argv[2])), sys.argv[3]
    kills.install(kills.Failpoints(kill.at, kills.die, kill.call))
    use_small_segments()
    plan(json.loads(options)).run(path)


if __name__ == "__main__":
    main()
