from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.files import tree

from ghosttrack_cli.errors import ConflictError, StateError
from ghosttrack_cli.extraction.repair import repair
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHUNKS = ["layers/02/resid_post/c/1/0", "layers/00/resid_post/c/2/0", "doc_ids/c/0"]


def run_repair(extraction: Any, **changes: Any) -> list[str]:
    monitor = Monitor(extraction.reports.append, extraction.notices.append)
    request = extraction.request(layers="0,2", **changes)
    return [str(bad) for bad in repair(request, monitor).repaired]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage", [flip, lambda path: path.unlink(), lambda path: path.write_bytes(b"")]
)
def test_bad_chunks_come_back_bit_for_bit(
    damage: Callable[[Path], object], extraction: Any
) -> None:
    store = extraction(layers="0,2").store
    whole = tree(store)
    for name in CHUNKS:
        damage(store / name)
    assert len(run_repair(extraction)) == 3
    assert tree(store) == whole


def test_a_whole_store_needs_no_model(extraction: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    extraction(layers="0,2")
    monkeypatch.setattr(ResidualModel, "load", None)
    assert run_repair(extraction) == []
    assert "nothing to repair" in extraction.notices[-1]


def test_another_model_cannot_repair(
    extraction: Any, make_model_folder: Callable[..., Path]
) -> None:
    store = extraction(layers="0,2").store
    flip(store / CHUNKS[0])
    damaged = tree(store)
    other = make_model_folder("gpt2", num_hidden_layers=4)
    with pytest.raises(ConflictError, match="weights_sha256"):
        run_repair(extraction, model_name=str(other))
    assert tree(store) == damaged


def test_no_store(extraction: Any) -> None:
    with pytest.raises(StateError, match="no activation store"):
        run_repair(extraction)
