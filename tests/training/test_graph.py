"""The step that a CUDA graph holds, run on the CPU: the same functions, the same numbers."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from ghosttrack_cli.settings.schema import SAETrainingSettings
from ghosttrack_cli.training.engines.cpu import CpuEngine
from ghosttrack_cli.training.engines.cuda_graph import TABLE_STEPS, GraphEngine, Table, table_step
from ghosttrack_cli.training.engines.engine import Scaling
from ghosttrack_cli.training.step.objective import Objective
from ghosttrack_cli.training.step.schedule import Schedule
from ghosttrack_cli.training.step.settings import StepSettings
from ghosttrack_cli.training.step.state import State, initial_state

OBJECTIVE = Objective("target", target_l0=4.0, bandwidth=0.05, slope=1.0)
SCALING = Scaling(0.5, torch.full((8,), 0.1))


def schedule(total: int = 40) -> Schedule:
    return Schedule.of(SAETrainingSettings(), total, peak=0.01, weight=1.0)


def batches(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(32, 8, generator=generator).bfloat16() for _ in range(count)]


def run(products: torch.dtype, objective: Objective = OBJECTIVE) -> tuple[State, torch.Tensor]:
    state, figures = initial_state(8, 24, 0.1, seed=0), torch.zeros(4)
    table = Table(schedule(), torch.device("cpu"))
    settings = StepSettings(objective, gradient_clip=1.0, revive_rows=100, products=products)
    for step, raw in enumerate(batches(40)):
        table.cover(step)
        table_step(state, raw, SCALING, table.rows, figures, settings)
    return state, figures


def test_the_graphed_step_equals_the_step_of_the_cpu() -> None:
    state, figures = run(torch.float32)
    settings = StepSettings(OBJECTIVE, gradient_clip=1.0, revive_rows=100)
    engine = CpuEngine(initial_state(8, 24, 0.1, seed=0), SCALING, schedule(), settings)
    for raw in batches(40):
        engine.step(raw)
    live = engine.live()
    assert live is not None
    assert figures[:3].tolist() == pytest.approx(live, rel=1e-3)
    for name, tensor in state.tensors().items():
        other = engine.state.tensors()[name]
        torch.testing.assert_close(other, tensor, atol=1e-3, rtol=1e-2, msg=name)


def test_bfloat16_products_stay_close_and_weights_stay_float32() -> None:
    exact, _ = run(torch.float32)
    rough, _ = run(torch.bfloat16)
    assert {tensor.dtype for tensor in rough.weights} == {torch.float32}
    torch.testing.assert_close(rough.weights.W_dec, exact.weights.W_dec, atol=0.05, rtol=0.1)


def test_the_table_holds_the_schedule_across_its_blocks() -> None:
    total = TABLE_STEPS + 10
    table = Table(schedule(total), torch.device("cpu"))
    for step in (0, TABLE_STEPS - 1, TABLE_STEPS, total - 1):
        table.cover(step)
        expected = torch.tensor(schedule(total).controls(step))
        assert torch.equal(table.rows[step % TABLE_STEPS], expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # torch's own, inside
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0:RuntimeWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize(
    "sparsity", ["target", "batchtopk", pytest.param("topk", marks=pytest.mark.faults)]
)
def test_the_whole_step_compiles_into_one_graph(sparsity: str) -> None:
    objective = replace(OBJECTIVE, sparsity=sparsity)
    expected, _ = run(torch.float32, objective)
    state, figures = initial_state(8, 24, 0.1, seed=0), torch.zeros(4)
    table = Table(schedule(), torch.device("cpu"))
    settings = StepSettings(objective, gradient_clip=1.0, revive_rows=100)
    compiled = torch.compile(table_step, fullgraph=True, dynamic=False)
    for step, raw in enumerate(batches(40)):
        table.cover(step)
        compiled(state, raw, SCALING, table.rows, figures, settings)
    for name, tensor in expected.tensors().items():
        torch.testing.assert_close(state.tensors()[name], tensor, atol=1e-3, rtol=1e-2, msg=name)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # torch's own, inside
@pytest.mark.parametrize("compiled", [False, True])
def test_the_graph_engine_equals_the_written_step(compiled: bool) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    notices: list[str] = []
    device = torch.device("cuda")
    settings = StepSettings(OBJECTIVE, gradient_clip=1.0, revive_rows=100)
    engine = GraphEngine(
        State.moved(initial_state(8, 24, 0.1, seed=0).tensors(), device),
        SCALING.to(device),
        schedule(),
        settings,
        compiled=compiled,
        notice=notices.append,
    )
    for raw in batches(40):
        engine.step(raw)
    assert engine.halted(wait=True) is False
    expected, _ = run(torch.float32)
    for name, tensor in expected.tensors().items():
        other = engine.state.tensors()[name].cpu()
        torch.testing.assert_close(other, tensor, atol=1e-3, rtol=1e-2, msg=name)
    assert not notices
