from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.support.files import tree

from ghosttrack_cli import files
from ghosttrack_cli.errors import ConflictError, CorpusError, DiskError, ModelError, UsageError
from ghosttrack_cli.extraction.batch_size import CPU_TOKENS
from ghosttrack_cli.extraction.plan import plan
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.store.format.commit_record import read_commit
from ghosttrack_cli.store.read.reader import ActivationStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = 32  # the tiny model's context


def test_rows_are_what_the_model_gives_for_the_stored_tokens(extraction: Any) -> None:
    result = extraction(layers="0,2")
    assert (result.rows, result.layers, result.complete) == (20_000, (0, 2), True)
    store = ActivationStore.open(result.store)
    tokens, positions = store.token_ids(), store.positions()
    assert np.array_equal(positions, np.arange(20_000) % T)
    assert (tokens[::T] == 256).all()
    model = ResidualModel.load(extraction.settings()[0])
    ids = torch.from_numpy(tokens[: 64 * T].astype(np.int64)).reshape(64, T)
    for layer, expected in model.residuals(ids, [0, 2]).items():
        np.testing.assert_allclose(
            store.read(layer, 0, 64 * T), expected.reshape(-1, 16).numpy(), atol=1e-5
        )


def test_progress_counts_up_to_what_was_asked(extraction: Any) -> None:
    extraction(tokens=5000)
    done = [report.done for report in extraction.reports]
    assert done == sorted(done)
    assert (done[-1], extraction.reports[-1].total) == (5000, 5000)
    assert extraction.reports[-1].unit == "tokens"


def test_a_second_run_says_so_and_loads_no_model(
    extraction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = extraction()
    before = tree(first.store)
    monkeypatch.setattr(ResidualModel, "load", None)
    second = extraction()
    assert (second.new_rows, second.rows, second.complete) == (0, 20_000, True)
    assert any("nothing to do" in notice for notice in extraction.notices)
    assert tree(first.store) == before


def test_fewer_tokens_than_there_are_is_nothing_to_do(extraction: Any) -> None:
    extraction()
    assert extraction(tokens=5000).rows == 20_000


def test_more_tokens_equal_a_longer_run_byte_for_byte(
    make_extraction: Callable[[Path], Any], tmp_path: Path
) -> None:
    grown, whole = make_extraction(tmp_path / "grown"), make_extraction(tmp_path / "whole")
    for tokens in (3000, 10_000, 30_000):
        result = grown(tokens=tokens)
    assert tree(result.store) == tree(whole(tokens=30_000).store)


def test_added_layers_equal_those_of_a_run_with_all_of_them(
    make_extraction: Callable[[Path], Any], tmp_path: Path
) -> None:
    grown, whole = make_extraction(tmp_path / "grown"), make_extraction(tmp_path / "whole")
    grown(layers="1")
    result = grown(layers="0,1,2")
    assert (result.layers, result.new_rows, result.complete) == ((0, 1, 2), 0, True)
    left, right = (
        ActivationStore.open(result.store),
        ActivationStore.open(whole(layers="all").store),
    )
    for layer in (0, 1, 2):
        assert np.array_equal(left.read(layer, 0, 20_000), right.read(layer, 0, 20_000))


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"context_length": 16}, {"context_length"}),
        ({"batch_size": 3}, {"batch_size"}),
        ({"store_dtype": "float16"}, {"dtype"}),
        ({"compress": "lz4"}, {"compress"}),
        ({"model_dtype": "bfloat16", "store_dtype": "float32"}, {"extra.model_dtype"}),
        ({"corpus_min_characters": 500}, {"corpus.min_characters"}),
    ],
)
@pytest.mark.parametrize("tokens", [20_000, 30_000])
def test_other_settings_conflict_field_by_field(
    change: dict[str, Any], fields: set[str], tokens: int, extraction: Any
) -> None:
    extraction()
    with pytest.raises(ConflictError) as caught:
        extraction(tokens=tokens, **change)
    assert set(caught.value.fields) == fields
    assert caught.value.exit_code == 3


def test_another_model_conflicts_and_overwrite_starts_anew(
    extraction: Any, make_model_folder: Callable[..., Path]
) -> None:
    extraction()
    other = str(make_model_folder("gpt2", num_hidden_layers=2))
    with pytest.raises(ConflictError) as caught:
        extraction(model_name=other)
    assert set(caught.value.fields) == {"weights_sha256", "model_config.n_layer"}
    result = extraction(model_name=other, overwrite=True, tokens=4000)
    assert (result.rows, result.new_rows) == (4000, 4000)


def test_a_corpus_shorter_than_asked_ends_short_and_says_so_again(extraction: Any) -> None:
    first = extraction(tokens="10M")
    assert first.rows > 20_000
    assert (first.complete, first.short_by) == (False, 10_000_000 - first.rows)
    assert any("tokens short" in notice for notice in extraction.notices)
    extraction.notices.clear()
    again = extraction(tokens="10M")
    assert (again.rows, again.new_rows, again.complete) == (first.rows, 0, False)
    assert any("tokens short" in notice for notice in extraction.notices)
    assert not read_commit(first.store).complete


@pytest.mark.parametrize("content", ["", "   \n\t \n"])
def test_no_text_at_all(content: str, extraction: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "a.txt").write_text(content)
    with pytest.raises(CorpusError):
        extraction(corpus_source=str(empty))


@pytest.mark.parametrize("layers", ["3", "0,7", "1-3"])
def test_layers_out_of_range(layers: str, extraction: Any) -> None:
    with pytest.raises(UsageError, match="must be 0 to 2"):
        extraction(layers=layers)
    assert not extraction.workspace.store.exists()


def test_context_out_of_range(extraction: Any) -> None:
    with pytest.raises(UsageError, match="33, must be 2 to 32"):
        extraction(context_length=33)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_activations_that_are_not_finite_stop_before_the_commit(
    value: float, extraction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    residuals = ResidualModel.residuals
    calls = []

    def poisoned(self: ResidualModel, ids: torch.Tensor, layers: Any) -> Any:
        streams = residuals(self, ids, layers)
        calls.append(1)
        if len(calls) == 7:  # the first is the trial of the batch size
            with torch.inference_mode():
                streams[2][0, 3, 5] = value
        return streams

    monkeypatch.setattr(ResidualModel, "residuals", poisoned)
    row = 5 * CPU_TOKENS + 3
    with pytest.raises(ModelError, match=rf"layer 2.*{row}") as caught:
        extraction(layers="0,2")
    assert "document" in caught.value.what
    assert read_commit(extraction.workspace.store).rows <= row


def test_float16_that_overflows_is_refused(
    extraction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    residuals = ResidualModel.residuals

    def huge(self: ResidualModel, ids: torch.Tensor, layers: Any) -> Any:
        return {layer: stream * 1e6 for layer, stream in residuals(self, ids, layers).items()}

    monkeypatch.setattr(ResidualModel, "residuals", huge)
    with pytest.raises(ModelError, match="layer 1"):
        extraction(store_dtype="float16")


def test_a_disk_too_small_is_refused_before_the_weights_load(
    extraction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "free_bytes", lambda _: 1_000_000)
    monkeypatch.setattr(ResidualModel, "load", None)
    with pytest.raises(
        DiskError, match=r"not enough disk space.* 20,000 tokens .* 1\.0 MB is free"
    ):
        extraction()
    assert not extraction.workspace.store.exists()


def test_a_limit_on_files_is_known_before_an_old_store_goes(
    extraction: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = extraction().rows
    monkeypatch.setattr(files, "largest_file", lambda: 100_000)
    with pytest.raises(DiskError, match=r"this process may write 100\.0 kB"):
        extraction(overwrite=True)
    assert extraction().rows == before == 20_000


def test_the_plan_says_what_the_store_will_take(extraction: Any) -> None:
    planned = plan(extraction.request(layers="all"))
    assert (planned.action, planned.layers, planned.rows) == ("start", (0, 1, 2), 20_000)
    assert (planned.context_length, planned.dtype, planned.rows_done) == (T, "float32", 0)
    result = extraction(layers="all")
    assert planned.bytes_needed == pytest.approx(result.bytes, rel=0.01)


def test_the_plan_follows_the_store(extraction: Any) -> None:
    extraction()
    cases: list[tuple[dict[str, Any], str, int]] = [
        ({}, "nothing", 20_000),
        ({"tokens": 30_000}, "continue", 20_000),
        ({"layers": "0,1"}, "add layers", 0),
    ]
    for changes, action, done in cases:
        planned = plan(extraction.request(**changes))
        assert (planned.action, planned.rows_done) == (action, done)
    assert plan(extraction.request()).bytes_needed == 0
    assert plan(extraction.request(overwrite=True)).action == "start"


def test_special_tokens_in_the_text_stay_text(extraction: Any, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / "a.txt").write_text("<|endoftext|> " * 100 + "\0 \u202e")
    result = extraction(corpus_source=str(folder), tokens=1000)
    tokens = ActivationStore.open(result.store).token_ids()
    inside = np.arange(1000) % T != 0
    assert not (tokens[inside] == 256).any()
