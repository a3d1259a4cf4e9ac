"""Random kills over the whole pipeline, beside `status` in loops and second writers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.fault_table import fault
from tests.support.settings import small_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.faults

SECONDS = float(os.environ.get("SOAK_SECONDS", "90"))
"""Of kills; SOAK_SECONDS=600 for ten minutes."""
SETTINGS: dict[str, dict[str, Any]] = {
    "corpus": {"source": "texts.jsonl"},
    "extraction": {"layers": "0,2", "tokens": 12_000},
    "sae": {"d_hidden": 64},
    "sae_training": {"epochs": 4, "checkpoint_steps": 20, "layers_at_once": 1},
}
ARTEFACTS = ("activations.zarr", "interpretations", "checkpoints")
OTHER = ("_last/", "_progress.json", "_metrics.jsonl", ".lock")
"""Which step the last resume state stands at, seconds, and who held a lock differ between runs."""
SECOND_WRITERS = ("run", "run", "extract", "train", "interpret")
KILLED_AFTER = (1.5, 9.0)
"""Seconds; a run that is left alone takes about as long as the upper bound."""


def write_settings(folder: Path, model: Path) -> Path:
    folder.mkdir()
    lines = [
        json.dumps({"text": f"Document {n} tells of number {n * 7919}. " * 9}) for n in range(90)
    ]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n")
    settings = small_settings(model={"name": str(model)}, **SETTINGS)
    (folder / "ghosttrack.toml").write_text(settings)
    return folder


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ghosttrack_cli", *command],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_alone(folder: Path) -> None:
    process = start(folder, "run")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said


def artefacts(folder: Path) -> dict[str, bytes]:
    """What must be equal at the end."""
    data = folder / "ghosttrack-data"
    return {
        str(path.relative_to(data)): path.read_bytes()
        for part in ARTEFACTS
        for path in sorted((data / part).rglob("*"))
        if path.is_file() and not any(word in str(path) for word in OTHER)
    }


def look(folder: Path, *flags: str) -> bool:
    """One look of `status`; whether there was anything to look at."""
    process = start(folder, "status", "--json", *flags)
    out, err = process.communicate(timeout=120)
    assert "unexpected" not in err + out, err + out
    document = json.loads(out)
    assert not document.get("problems"), document["problems"]
    assert not document.get("bad_chunks"), document["bad_chunks"]
    for layer in document.get("layers", []):
        assert layer["rows"] <= 12_000
        training = layer["training"]
        assert training is None or training["step"] <= training["total_steps"]
    return bool(document.get("layers"))


@dataclass
class Looker:
    """Looks again and again at what is the folder now, from a thread of its own."""

    folder: Path
    looks: int = 0
    wrong: list[BaseException] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def loop(self) -> None:
        turn = 0
        while not (self.done.is_set() or self.wrong):
            try:
                self.looks += look(self.folder, *[("--verify",), ()][turn % 2])
            except BaseException as error:  # noqa: BLE001 - given to the test
                self.wrong.append(error)
            turn += 1


def intrude(folder: Path, command: str) -> bool:
    """A second writer: whether it was refused by name; else it worked as if alone."""
    second = start(folder, command)
    _, said = second.communicate(timeout=120)
    assert second.returncode in {0, 1, 3}, said
    assert "unexpected" not in said, said
    refused = "another process" in said
    assert second.returncode == 3 or not refused, said
    return refused


def one_round(folder: Path, rng: random.Random) -> tuple[bool, int]:
    """Start, let a second writer try in one of three, kill: whether it was killed; refusals."""
    process = start(folder, "run")
    time.sleep(rng.uniform(*KILLED_AFTER))
    refused = rng.random() < 1 / 3 and intrude(folder, rng.choice(SECOND_WRITERS))
    killed = process.poll() is None
    if killed:
        os.killpg(process.pid, signal.SIGKILL)
    _, said = process.communicate()
    assert killed or process.returncode == 0, said
    return killed, int(refused)


@pytest.mark.timeout(int(SECONDS) + 600)
def test_a_soak_of_kills_ends_as_a_run_that_was_left_alone(
    tmp_path: Path, tiny_model: Path, record_property: Callable[[str, object], None]
) -> None:
    rng, count = random.Random(20), Counter[str]()
    whole = write_settings(tmp_path / "whole", tiny_model)
    run_alone(whole)
    expected = artefacts(whole)
    looker = Looker(write_settings(tmp_path / "killed-0", tiny_model))
    thread = threading.Thread(target=looker.loop)
    thread.start()
    try:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until or not count["kills"]:
            killed, refused = one_round(looker.folder, rng)
            count += Counter(kills=int(killed), refused=refused)
            if not killed:  # compared, then begun anew elsewhere
                assert artefacts(looker.folder) == expected
                count["whole"] += 1
                looker.folder = write_settings(tmp_path / f"killed-{count['whole']}", tiny_model)
            assert not looker.wrong
    finally:
        looker.done.set()
        thread.join()
    assert not looker.wrong
    run_alone(looker.folder)
    assert artefacts(looker.folder) == expected
    record_property("fault", fault("soak: kill -9 over the pipeline", count["kills"]))
    record_property("fault", fault("soak: whole runs compared", count["whole"] + 1))
    record_property("fault", fault("soak: looks of status beside it", looker.looks))
    record_property("fault", fault("soak: second writers refused by name", count["refused"]))
