"""Workspaces made of manifests alone: what `status` reads, written by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli import files
from ghosttrack_cli.store.format.commit_parts import ArrayCommit, LayerSums
from ghosttrack_cli.store.format.commit_record import new_commit, write_commit
from ghosttrack_cli.store.format.identity import StoreIdentity
from ghosttrack_cli.store.format.layout import layer_array
from ghosttrack_cli.store.format.statistics import NormSums

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghosttrack_cli.workspace import Workspace

IDENTITY = StoreIdentity(
    model="gpt2",
    model_revision=None,
    weights_sha256="0" * 64,
    tokenizer_sha256="1" * 64,
    special_token_ids=(50256,),
    corpus={"kind": "hub", "repository": "wikimedia/wikipedia", "config": "20231101.en"},
    context_length=1024,
    batch_size=8,
    d_model=768,
    dtype="bfloat16",
)
METRICS = {
    "recon_loss": 0.005,
    "fvu": 0.1,
    "l0": 75.0,
    "dead_fraction": 0.01,
    "dead_rows": 1_000_000,
    "rows": 50_000,
    "converged": True,
}


EXPECTED = {"l0_min": 50.0, "l0_max": 100.0, "fvu": 0.131, "d_hidden": 4096, "target_l0": 75.0}


class Builder:
    """Writes manifests as the stages do."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def store(self, *layers: int, rows: int = 1000, asked: int = 1000) -> None:
        commit = new_commit(IDENTITY, asked)
        part = ArrayCommit(rows=rows, tail_bytes=rows * 1536, checksums=(1,))
        sums = NormSums(rows, float(rows), 1.0, {32512: rows})
        names = [*commit.arrays, *(layer_array(layer) for layer in layers)]
        commit = replace(
            commit,
            reached=rows >= asked,
            arrays=dict.fromkeys(names, part),
            sums={layer: LayerSums(tail=sums) for layer in layers},
        )
        self.workspace.store.mkdir(parents=True, exist_ok=True)
        write_commit(self.workspace.store, commit)

    def training(
        self,
        layer: int,
        state: str = "finished",
        expected: dict[str, float] = EXPECTED,
        **metrics: Any,
    ) -> None:
        self.seal(
            self.workspace.training_progress(layer),
            {
                "schema": 2,
                "layer": layer,
                "state": state,
                "step": 100 if state == "finished" else 40,
                "total_steps": 100,
                "metrics": METRICS | metrics,
                "best": {"step": 100, "fvu": 0.1, "l0": 75.0},
                "expected": expected,
            },
        )

    def sae(self, layer: int, weights: str) -> None:
        sums = {"schema": 1, "sha256": {"sae_weights.safetensors": weights}}
        self.seal(self.workspace.sae(layer, "best") / "checksums.json", sums)

    def report(self, layer: int, source: str = "store", weights: str = "a") -> None:
        counts = {"features": 4096, "active": 4055, "dead": 41, "rows": 900}
        listed = {"report.json": b"{}", "features/000.json": b"{...}"}
        for name, data in listed.items():
            path = self.workspace.report(layer, source) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        records = self.workspace.interpretation(layer, source)
        records.write_bytes(b"[]\n")
        document = {
            "schema": 3,
            "files": {name: {"bytes": len(data)} for name, data in listed.items()},
            "records": {"bytes": 3},
            "layer": layer,
            "counts": counts,
            "source": {"name": source},
            "sae": {"checkpoint": "best", "weights_sha256": weights},
        }
        self.seal(self.workspace.report(layer, source) / "summary.json", document)

    def seal(self, path: Any, document: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_sealed(path, document)

    def write(self, path: Any, document: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document))

    def everything(self, *layers: int) -> None:
        self.store(*layers)
        for layer in layers:
            self.training(layer)
            self.report(layer)


@pytest.fixture
def build(workspace: Workspace) -> Builder:
    """`build.store(6)`, `build.training(6)`, `build.report(6)` in the test's workspace."""
    return Builder(workspace)


@pytest.fixture
def damage() -> Callable[[Any], None]:
    """Cut a file in the middle."""

    def cut(path: Any) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])

    return cut
