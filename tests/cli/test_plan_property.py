"""Whatever a workspace holds and is asked for: `--dry-run` says what the run does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from tests.cli.plan_states import DATA, STATES, Command, commands, make_state
from tests.fault_table import fault
from tests.support.files import tree

from ghosttrack_cli.cli.app import run_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended

VARYING = {".log", ".lock"}
FEW, MANY = 4, 60
QUICK = ("nothing", "full", "begun")
"""States that are made at once."""
BOUNDED = settings(
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # commands are short as they are, and shrinking them takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)


class Comparison:
    """Plans and runs a command in a copy of a state, which is made once."""

    def __init__(
        self,
        folder: Path,
        base: Command,
        ghosttrack: Callable[..., Ended],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.folder, self.base = folder, base
        self.ghosttrack, self.monkeypatch = ghosttrack, monkeypatch
        self.count = 0

    def enter(self, state: str) -> None:
        kept, here = self.folder / "states" / state, self.folder / "here"
        if not kept.exists():
            kept.mkdir(parents=True)
            self.monkeypatch.chdir(kept)
            make_state(state, self.base, lambda *words: run_program(list(words)), self.monkeypatch)
        self.monkeypatch.chdir(self.folder)
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(kept, here)
        self.monkeypatch.chdir(here)

    def __call__(self, state: str, command: Command) -> None:
        self.enter(state)
        self.count += 1
        before = tree(Path.cwd(), without=VARYING)
        plan = self.ghosttrack(*command, "--dry-run", "--json")
        assert tree(Path.cwd(), without=VARYING) == before, "a plan changes nothing"
        yes = ("--yes",) if "--overwrite" in command else ()
        ran = self.ghosttrack(*command, *yes, "--json")
        event(f"{command[0]} ended with {ran.code}")
        assert plan.code == ran.code, (plan.err, ran.err)
        if ran.code:
            told = plan.document.get("refused") or plan.document["error"]
            found = ran.document["error"]
            assert (told["what"], told["hint"]) == (found["what"], found["hint"])
            assert tree(Path.cwd(), without=VARYING) == before, "what is refused changes nothing"
        else:
            ACTIONS[command[0]](plan.document, ran.document, before)


def extracted(plan: dict[str, Any], ran: dict[str, Any], before: dict[str, bytes]) -> None:
    planned = plan["plan"]
    chunks = {name for name in before if "activations.zarr/" in name}
    now = tree(Path.cwd())
    if planned["action"] == "nothing":
        assert ran["new_rows"] == 0
        if not any(".previous/" in name for name in before):
            assert {name: now[name] for name in chunks} == {name: before[name] for name in chunks}
    assert ran["rows"] == planned["rows"] or ran["short_by"]
    assert set(planned["layers"]) <= set(ran["layers"])
    if planned["action"] in {"start", "add layers"}:
        assert planned["rows_done"] == 0 or planned["action"] == "add layers"
        assert ran["new_rows"] == (ran["rows"] if planned["action"] == "start" else 0)


def trained(plan: dict[str, Any], ran: dict[str, Any], before: dict[str, bytes]) -> None:
    now = tree(Path.cwd())
    assert {str(one["layer"]) for one in plan["plan"]} == set(ran["layers"])
    for one in plan["plan"]:
        layer = ran["layers"][str(one["layer"])]
        assert layer["state"] == "finished"
        weights = str(DATA / f"checkpoints/sae_layer_{one['layer']}_final/sae_weights.safetensors")
        if one["state"] == "finished":
            assert before[weights] == now[weights], one
        assert layer["total_steps"] == pytest.approx(one["total_steps"], rel=0.2, abs=3)


def interpreted(plan: dict[str, Any], ran: dict[str, Any], before: dict[str, bytes]) -> None:
    planned, now = plan["plan"], tree(Path.cwd())
    assert [one["layer"] for one in ran["layers"]] == planned["layers"]
    for one in ran["layers"]:
        layer, source = one["layer"], one["source"]["slug"]
        summary = str(DATA / f"interpretations/layer_{layer}/{source}/summary.json")
        if layer not in planned["todo"]:
            assert before[summary] == now[summary]
        if planned["rows"]["known"] == "exactly":
            assert one["source"]["rows"] == planned["rows"]["number"]


def exported(plan: dict[str, Any], ran: dict[str, Any], before: dict[str, bytes]) -> None:
    planned = plan["plan"]
    assert ran["layers"] == planned["layers"]
    changed = {
        name for name, data in tree(Path.cwd(), without=VARYING).items() if before.get(name) != data
    }
    assert {str(Path(name).parent) for name in changed} <= {*ran["layers"].values()}


def all_ran(plan: dict[str, Any], ran: dict[str, Any], before: dict[str, bytes]) -> None:
    planned = plan["plan"]
    extracted({"plan": planned["extract"]}, ran["extract"], before)
    trained(planned["train"], ran["train"], before)
    assert [one["layer"] for one in ran["interpret"]["layers"]] == planned["interpret"]["layers"]


ACTIONS = {
    "extract": extracted,
    "train": trained,
    "interpret": interpreted,
    "export": exported,
    "run": all_ran,
}


@pytest.fixture
def compare(
    tmp_path: Path,
    tiny_model: Path,
    texts: Path,
    ghosttrack: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> Comparison:
    base = (
        "--model", str(tiny_model), "--corpus", str(texts), "--layers", "0,2",
        "--tokens", "3k", "--context-length", "32", "--batch-size", "4",
    )  # fmt: skip
    return Comparison(tmp_path, base, ghosttrack, monkeypatch)


def check(compare: Comparison, states: tuple[str, ...], examples: int) -> None:
    @settings(BOUNDED, max_examples=examples)
    @given(state=st.sampled_from(states), command=commands(compare.base))
    def holds(state: str, command: Command) -> None:
        compare(state, command)

    holds()


def test_a_plan_is_what_the_run_does(compare: Comparison) -> None:
    check(compare, QUICK, FEW)


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_plan_is_what_the_run_does_in_many_states(
    compare: Comparison, record_property: Callable[[str, object], None]
) -> None:
    check(compare, STATES, MANY)
    record_property("fault", fault("a plan beside its run", compare.count))
