from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import torch
from tests.model.test_residual import FAMILIES, T, wrap

from ghosttrack_cli.errors import HubError
from ghosttrack_cli.machine.devices import torch_threads
from ghosttrack_cli.model.passes import lanes, residual_passes
from ghosttrack_cli.model.residual import ResidualModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor
    from transformers import PreTrainedModel


@pytest.fixture
def model(make_random_model: Callable[..., PreTrainedModel]) -> ResidualModel:
    return wrap(make_random_model("llama"))


@pytest.fixture(params=[1, 2, 3, 4])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    with torch_threads(request.param):
        yield request.param


def batches(count: int) -> list[tuple[int, Tensor]]:
    random = torch.Generator().manual_seed(2)
    return [(index, torch.randint(0, 256, (2, T), generator=random)) for index in range(count)]


@pytest.mark.parametrize(("threads", "expected"), [(1, 1), (2, 2), (3, 3), (4, 2), (9, 3), (16, 2)])
def test_cores_are_shared_evenly(threads: int, expected: int) -> None:
    assert lanes(threads) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_passes_come_in_order_and_are_those_of_single_calls(
    family: str, threads: int, make_random_model: Callable[..., PreTrainedModel]
) -> None:
    model = wrap(make_random_model(family))
    seen = []
    for index, streams in residual_passes(model, batches(11), (0, 2)):
        assert list(streams) == [0, 2]
        expected = model.residuals(batches(11)[index][1], (0, 2))
        for layer, stream in streams.items():
            torch.testing.assert_close(stream, expected[layer])
        seen.append(index)
    assert seen == list(range(11))
    assert torch.get_num_threads() == threads


def test_as_many_passes_run_at_once_as_share_the_cores(
    model: ResidualModel, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = threading.Barrier(lanes(threads), timeout=20)
    inside: list[tuple[int, int]] = []

    def residuals(self: ResidualModel, _ids: Tensor, _layers: object) -> dict[int, Tensor]:
        inside.append((id(self), torch.get_num_threads()))
        meeting.wait()
        return {}

    monkeypatch.setattr(ResidualModel, "residuals", residuals)
    list(residual_passes(model, batches(2 * lanes(threads)), (0,)))
    assert len({one for one, _ in inside}) == lanes(threads)
    assert {each for _, each in inside} == {threads // lanes(threads)}


def test_a_source_that_fails_gives_what_it_gave_first(model: ResidualModel, threads: int) -> None:
    def source() -> Iterator[tuple[int, Tensor]]:
        yield from batches(5)
        raise HubError("gone")

    passes = residual_passes(model, source(), (1,))
    seen = [next(passes)[0] for _ in range(5)]
    with pytest.raises(HubError, match="gone"):
        next(passes)
    assert seen == [0, 1, 2, 3, 4]
    assert torch.get_num_threads() == threads


def test_a_pass_that_fails_is_raised_in_its_place(
    model: ResidualModel, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = batches(8)[3][1]

    def residuals(_: ResidualModel, ids: Tensor, _layers: object) -> dict[int, Tensor]:
        if torch.equal(ids, bad):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {}

    monkeypatch.setattr(ResidualModel, "residuals", residuals)
    with closing(residual_passes(model, batches(8), (1,))) as passes:
        seen = [next(passes)[0] for _ in range(3)]
        with pytest.raises(torch.OutOfMemoryError):
            next(passes)
    assert seen == [0, 1, 2]
    assert torch.get_num_threads() == threads


def test_little_is_read_ahead_and_a_reader_may_stop(model: ResidualModel, threads: int) -> None:
    read = []

    def source() -> Iterator[tuple[int, Tensor]]:
        for index, ids in batches(50):
            read.append(index)
            yield index, ids

    with closing(residual_passes(model, source(), (1,))) as passes:
        assert next(passes)[0] == 0
    assert len(read) == lanes(threads) + 1
    assert torch.get_num_threads() == threads


def test_a_twin_shares_weights_and_nothing_else(model: ResidualModel) -> None:
    twin = model.twin()
    there = {tensor.data_ptr() for tensor in model.model.parameters()}
    assert {tensor.data_ptr() for tensor in twin.model.parameters()} == there
    assert twin.blocks[1] is not model.blocks[1]
    model.blocks[1].register_forward_hook(lambda *_: pytest.fail("the other's hook"))
    twin.residuals(batches(1)[0][1], (0, 2))
