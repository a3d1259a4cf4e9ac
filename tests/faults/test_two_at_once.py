"""Two commands at once: whoever comes second is refused by name, or both end as if alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.fault_table import fault
from tests.store.kills import RENAME
from tests.support.files import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.conftest import Program, Said

    from ghosttrack_cli.workspace import Workspace

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
PROC = Path("/proc/self/stat").is_file()
EXTRACT = ("extract", "--overwrite", "--yes")
TRAIN = ("train", "--layers", "0", "--overwrite", "--yes")
INTERPRET = ("interpret", "--layers", "0", "--overwrite", "--yes")
PASSING = {".log", ".lock"}
REFUSED = [
    (EXTRACT, EXTRACT, "extract"),
    (EXTRACT, ("extract",), "extract"),
    (EXTRACT, TRAIN, "extract --overwrite"),
    (EXTRACT, INTERPRET, "extract --overwrite"),
    (TRAIN, EXTRACT, "training layer 0"),
    (TRAIN, TRAIN, "training layer 0"),
    (TRAIN, ("train", "--layers", "0"), "training layer 0"),
    (INTERPRET, EXTRACT, "ghosttrack interpret"),
    (INTERPRET, INTERPRET, "ghosttrack interpret"),
    (INTERPRET, ("interpret", "--layers", "0"), "ghosttrack interpret"),
]
"""First command, second command, and the words by which the first is named to the second."""
BESIDE = [INTERPRET, ("export", "--layers", "0"), ("interpret", "prompt", "a cat", "--layer", "0")]
"""What reads an SAE while another is trained that will take its place: they have the old one."""


@pytest.fixture
def ready(everything: Workspace, program: Callable[..., Program]) -> Program:
    """The program in a folder whose workspace went through all stages."""
    there = program()
    shutil.copytree(everything.root, there.folder / "ghosttrack-data")
    return there


@contextmanager
def held(program: Program, at: int, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A command that stands still before its rename number `at`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.held", str(at), RENAME, *command],
        cwd=program.folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


def go_on(process: subprocess.Popen[str]) -> None:
    """Let a held command end; it must end well."""
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said


def check_sound(program: Program) -> None:
    said = program("status", "--verify")
    assert said.code == 0, said.out + said.err


@pytest.mark.parametrize(("first", "second", "name"), REFUSED)
def test_the_second_is_refused_by_name_and_touches_nothing(
    ready: Program,
    first: tuple[str, ...],
    second: tuple[str, ...],
    name: str,
    record_property: Callable[[str, object], None],
) -> None:
    data = ready.folder / "ghosttrack-data"
    with held(ready, 9, *first) as process:
        before = tree(data, without=PASSING)
        said = ready(*second)
        state = Path(f"/proc/{process.pid}/stat").read_text() if PROC else "unknown"
        assert said.code == 3, (state, process.poll(), said.err)
        assert f"process {process.pid}, {name}" in said.err
        assert tree(data, without=PASSING) == before
        go_on(process)
    check_sound(ready)
    after = ready(*second)
    assert after.code == 0, after.err
    check_sound(ready)
    record_property("fault", fault("two commands at once: refused by name", 1))


def test_an_sae_is_not_replaced_under_an_interpretation(
    ready: Program, record_property: Callable[[str, object], None]
) -> None:
    """The retraining is kept beside the old SAE, and the next `train` puts it in its place."""
    saes = ready.folder / "ghosttrack-data" / "checkpoints" / "sae_layer_0_best"
    old = tree(saes)
    with held(ready, 9, *INTERPRET) as process:
        said = ready(*TRAIN, "--seed", "7")
        assert said.code == 3, said.err
        assert f"process {process.pid}, ghosttrack interpret" in said.err
        assert tree(saes) == old
        go_on(process)
    check_sound(ready)
    said = ready("train", "--layers", "0", "--seed", "7")
    assert said.code == 0, said.err
    assert tree(saes) != old
    check_sound(ready)
    record_property("fault", fault("two commands at once: refused by name", 1))


@pytest.mark.parametrize("second", BESIDE)
def test_a_reader_has_the_old_sae_while_another_is_trained(
    ready: Program, second: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    data = ready.folder / "ghosttrack-data"
    alone = _ended(ready(*second))
    report = tree(data / "interpretations" / "layer_0", without=PASSING)
    with held(ready, 9, *TRAIN, "--seed", "7") as process:
        beside = _ended(ready(*second))
        assert beside.out == alone.out
        assert tree(data / "interpretations" / "layer_0", without=PASSING) == report
        go_on(process)
    check_sound(ready)
    record_property("fault", fault("two commands at once: both as if alone", 1))


def _ended(said: Said) -> Said:
    assert said.code == 0, said.err
    return said
