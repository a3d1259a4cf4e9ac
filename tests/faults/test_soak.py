"""Random kills over the whole pipeline, beside `status` in loops and second writers."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.fault_table import fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.faults

SECONDS = float(os.environ.get("SOAK_SECONDS", "90"))
"""Of kills; SOAK_SECONDS=600 for ten minutes."""
SETTINGS = """\
[model]
name = "{model}"
[corpus]
source = "texts.jsonl"
[extraction]
context_length = 32
batch_size = 4
layers = "0,2"
tokens = 12000
[sae]
d_hidden = 64
target_l0 = 6
[sae_training]
epochs = 4
batch_size = 256
val_fraction = 0.2
checkpoint_steps = 20
layers_at_once = 1
"""
ARTEFACTS = ("activations.zarr", "interpretations", "checkpoints")
RESUME = ("_last/", "_progress.json", "_metrics.jsonl")
"""Which step the last resume state stands at, and seconds, differ between runs."""


def write_settings(folder: Path, model: Path) -> None:
    lines = [
        json.dumps({"text": f"Document {n} tells of number {n * 7919}. " * 9}) for n in range(90)
    ]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "ghosttrack.toml").write_text(SETTINGS.format(model=model))


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


def artefacts(folder: Path) -> dict[str, bytes]:
    """What must be equal at the end."""
    data = folder / "ghosttrack-data"
    return {
        str(path.relative_to(data)): path.read_bytes()
        for part in ARTEFACTS
        for path in sorted((data / part).rglob("*"))
        if path.is_file() and not any(word in str(path) for word in RESUME)
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


@pytest.mark.timeout(int(SECONDS) + 600)
def test_a_soak_of_kills_ends_as_a_run_that_was_left_alone(
    tmp_path: Path, tiny_model: Path, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(20)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        write_settings(folder, tiny_model)
    straight = start(whole, "run")
    assert straight.wait(timeout=300) == 0, straight.communicate()
    expected = artefacts(whole)
    kills = looks = refused = ended = 0
    until = time.monotonic() + SECONDS
    while time.monotonic() < until or not kills:
        process = start(killed, "run")
        time.sleep(rng.uniform(1.5, 9))
        looks += look(killed, *rng.choice([(), ("--verify",)]))
        if rng.random() < 1 / 3:
            second = start(killed, rng.choice(["extract", "train", "interpret"]))
            _, said = second.communicate(timeout=120)
            assert second.returncode in {0, 1, 3}, said
            assert "unexpected" not in said, said
            refused += "another process" in said
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        looks += look(killed)
        if process.returncode == 0:  # compared, then begun anew
            assert artefacts(killed) == expected
            shutil.rmtree(killed / "ghosttrack-data")
            ended += 1
    last = start(killed, "run")
    _, said = last.communicate(timeout=300)
    assert last.returncode == 0, said
    assert artefacts(killed) == expected
    record_property("fault", fault("soak: kill -9 over the pipeline", kills))
    record_property("fault", fault("soak: whole runs compared", ended + 1))
    record_property("fault", fault("soak: looks of status beside it", looks))
    record_property("fault", fault("soak: second writers refused by name", refused))
