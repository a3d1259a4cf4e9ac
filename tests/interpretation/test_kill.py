"""kill -9 of whole interpretations, by time and at system calls: all end with the same bytes."""

from __future__ import annotations

import json
import random
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.fault_table import fault
from tests.forks import Forks, spread, spread_over
from tests.interpretation.forks import notices
from tests.store.kills import FSYNC, REMOVE, RENAME, RENAMED, WRITE, Kill
from tests.support.files import Tree, tree
from tests.support.twins import Twins

from ghosttrack_cli.extraction.stage import extract
from ghosttrack_cli.report.stored import layer_reports
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.settings.schema import CorpusSettings, ExtractionSettings, ModelSettings
from ghosttrack_cli.stage_request import StageRequest
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.forks import Ended

LAYERS = (0, 1, 2)
CALLS = (WRITE, FSYNC, RENAME, RENAMED, REMOVE)
SCENARIOS: dict[str, list[dict[str, Any]]] = {
    "texts": [{}],
    "store": [{"texts": "store"}],
    "a pass a layer": [{"together": False}],
    "layers added": [{"layers": [1]}, {}],
    "other settings": [{"layers": [0, 2]}, {"layers": [0, 2], "seed": 1}],
    "overwritten": [{"layers": [0, 2]}, {"layers": [0, 2], "overwrite": True}],
}
ONE: dict[str, Any] = {"layers": [1]}
QUICK = ("texts", "store")
KILLS, SEEDS = 6, range(1, 3)
ENOUGH = 8
"""Of the 12 in a scenario: a kill after the last system call leaves nothing for the next one."""
assert ENOUGH * len(SCENARIOS) >= 40


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks("tests.interpretation.forks") as process:
        yield process


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, documents: list[str]
) -> Workspace:
    """An SAE on each layer of the tiny model, a small store and a file of texts. Read only."""
    workspace = Workspace(tmp_path_factory.mktemp("trained"))
    texts = workspace.root / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    workspace.checkpoints.mkdir()
    for layer in LAYERS:
        torch.manual_seed(layer)
        JumpReLUSAE(16, 40, threshold=0.5).save(workspace.sae(layer, "best"))
    request = StageRequest(
        ModelSettings(name=str(tiny_model), device="cpu"),
        CorpusSettings(source=str(texts), min_characters=1),
        ExtractionSettings(layers="all", tokens=500, batch_size=4),
        workspace,
    )
    extract(request)
    return workspace


class Interpretations(Twins):
    """One interpretation that is killed, and the same one left alone."""

    def __init__(self, forks: Forks, trained: Workspace, model: Path, root: Path) -> None:
        super().__init__(
            forks, *(Workspace(root / part, trained.checkpoints) for part in ("whole", "killed"))
        )
        self.trained, self.model = trained, model
        for workspace in (self.whole, self.killed):
            workspace.root.mkdir(parents=True)
            workspace.store.symlink_to(trained.store)
        self.resumed = 0

    def request(self, workspace: Workspace, step: dict[str, Any]) -> dict[str, Any]:
        step = {"layers": LAYERS, "together": True, "overwrite": False, **step}
        texts = step.get("texts", str(self.trained.root / "texts.jsonl"))
        return {
            "workspace": str(workspace.root),
            "checkpoints": str(workspace.checkpoints),
            "model": str(self.model),
            "interpretation": {"texts": texts, "seed": step.get("seed", 0)},
            **{name: step[name] for name in ("layers", "together", "overwrite")},
        }

    def left(self, workspace: Workspace) -> Tree:
        return tree(workspace.interpretations)

    def step(self, step: dict[str, Any], choose: Callable[[Ended], list[Kill]]) -> int:
        """Each kill leaves whole reports: those from before the step, or those after it."""
        self.before = reports(self.whole)
        return super().step(step, choose)

    def kill(self, step: dict[str, Any], kill: Kill) -> bool:
        with self.resuming():
            request = self.request(self.killed, step)
            struck = self.forks.kill(request, kill, self.killed.interpretations)
        after = reports(self.whole)
        for layer, found in reports(self.killed).items():
            assert found in (self.before[layer], after[layer]), (layer, kill)
        return struck

    def run(self, workspace: Workspace, step: dict[str, Any]) -> Ended:
        if workspace == self.whole:
            return super().run(workspace, step)
        with self.resuming():
            return super().run(workspace, step)

    @contextmanager
    def resuming(self) -> Iterator[None]:
        """A run that finds rows read goes on after them, and says so."""
        read, said = rows_read(self.killed), len(told(self.killed))
        yield
        if read:
            assert f"resuming after {read:,} rows" in told(self.killed)[said:]
            self.resumed += 1


def reports(workspace: Workspace) -> dict[int, dict[str, bytes]]:
    """The files of each layer's report."""
    return {
        layer: {
            f"{one.source}/{name}": data
            for one in layer_reports(workspace.interpretations, layer)
            for name, data in tree(one.folder).items()
        }
        for layer in LAYERS
    }


def rows_read(workspace: Workspace) -> int:
    """How many rows an unfinished pass has behind it."""
    states = list(workspace.interpretations.glob(".unfinished/*/state.json"))
    if not states:
        return 0
    document = json.loads(states[0].read_bytes())
    return 0 if document["done"] else int(document["facts"]["rows"])


def told(workspace: Workspace) -> list[str]:
    path = notices(workspace)
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def twins(
    forks: Forks, trained: Workspace, tiny_model: Path, tmp_path: Path
) -> Callable[[str], Interpretations]:
    """`twins(name)`: both without a report yet."""
    return lambda name: Interpretations(forks, trained, tiny_model, tmp_path / name)


def run_scenario(twins: Interpretations, name: str, seed: int, count: int) -> int:
    """How many kills struck, of `count` in each step."""
    rng = random.Random(f"{name} {seed}")
    return spread_over(SCENARIOS[name], twins.step, rng, count, CALLS)


@pytest.mark.parametrize("name", QUICK)
def test_a_killed_interpretation_ends_with_the_same_bytes(
    twins: Callable[[str], Interpretations], name: str
) -> None:
    """Once in mid-pass, when the second state takes the place of the first, and once by chance."""
    pair, rng = twins(name), random.Random(name)
    (step,) = SCENARIOS[name]
    in_mid_pass = Kill(len(LAYERS), REMOVE)
    assert pair.step(step, lambda whole: [in_mid_pass, *spread(rng, 1, whole, CALLS)]) == 2
    assert pair.resumed


def at_removal(left: int, whole: Ended) -> list[Kill]:
    """In the removal that has `left` others after it."""
    return [Kill(whole.calls[REMOVE] - left, REMOVE)]


def test_a_kill_in_the_removals_leaves_nothing_behind(
    twins: Callable[[str], Interpretations],
) -> None:
    """In the last ones: of the state of the pass, of the page's files, of the report before."""
    pair = twins("replaced")
    pair.step(ONE, lambda _: [])
    for left in range(3):
        assert pair.step({**ONE, "seed": left + 1}, partial(at_removal, left)) == 1


def test_a_kill_while_a_report_is_overwritten_leaves_the_old_or_the_new_one(
    twins: Callable[[str], Interpretations],
) -> None:
    """At renames: of the state in mid-pass, of the report's files, between its two folders."""
    pair = twins("overwritten")
    pair.step(ONE, lambda _: [])
    again = {**ONE, "overwrite": True}
    assert pair.step(again, at_quarters_of_renames) == 3


def at_quarters_of_renames(whole: Ended) -> list[Kill]:
    """Each counts from where the one before struck, since the pass goes on from there."""
    return [Kill(max(1, whole.calls[RENAMED] // 4), RENAMED)] * 3


def always(points: list[Kill], _whole: Ended) -> list[Kill]:
    return points


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_kill_at_any_call_of_a_replacement_ends_with_the_same_bytes(
    twins: Callable[[str], Interpretations], record_property: Callable[[str, object], None]
) -> None:
    """At every 40th call, each time with other settings than before, and once more in the rest."""
    pair, rng, struck = twins("each"), random.Random(0), 0
    pair.step(ONE, lambda _: [])
    calls = sum(pair.forks.run(pair.request(twins("look").whole, ONE)).calls.values())
    for seed, at in enumerate(range(1, calls, 40), start=1):
        points = [Kill(at), Kill(rng.randint(1, calls + 1 - at))]
        struck += pair.step({**ONE, "seed": seed}, partial(always, points))
    record_property("fault", fault("kill -9: interpretation, every 40th call", struck))
    assert struck >= calls // 40


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_many_killed_interpretations_end_with_the_same_bytes(
    twins: Callable[[str], Interpretations],
    name: str,
    record_property: Callable[[str, object], None],
) -> None:
    pairs = [twins(f"{seed}") for seed in SEEDS]
    count = KILLS // len(SCENARIOS[name])
    struck = sum(
        run_scenario(pair, name, seed, count) for seed, pair in zip(SEEDS, pairs, strict=True)
    )
    record_property("fault", fault(f"kill -9: interpretation, {name}", struck))
    assert struck >= ENOUGH
