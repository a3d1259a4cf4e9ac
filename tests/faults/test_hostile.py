"""Secrets stay out of everything that is written, and what acts on a terminal out of it."""

from __future__ import annotations

import json
import re
import shutil
import stat
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.conftest import Program, Said

pytestmark = pytest.mark.faults

SECRETS = {
    "HF_TOKEN": "hf_PlantedTokenOfNobody",
    "HUGGING_FACE_HUB_TOKEN": "hf_AnotherPlantedToken",
    "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
    "AWS_SECRET_ACCESS_KEY": "PlantedSecretAccessKey",
    "HTTPS_PROXY": "http://me:PlantedProxyPassword@127.0.0.1:9",
}
HOSTILE = (
    "\x1b[31mred\x1b]0;title\x07 \x9b2J \u202eright to left\u202c \u2066iso\u2069 \x08\x0c\x7f end "
)
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f]")
"""Whatever moves a cursor, colours, rings, or turns text round; tabs and newlines may stand."""


def write_texts(path: Path, words: str = "") -> None:
    lines = [
        json.dumps({"text": f"Document {n} tells {words}of number {n * 7919}. " * 5})
        for n in range(60)
    ]
    path.write_text("\n".join(lines) + "\n")


def pipeline(program: Program, model: Path, texts: Path) -> list[Said]:
    """What a user runs from the first text to the last view, with errors between."""
    commands = [
        ("run", "--model", model, "--corpus", texts, "--layers", "0,2", "--tokens", "3k"),
        ("status",),
        ("status", "--json"),
        ("config", "show"),
        ("interpret", "list", "--layer", "0"),
        ("interpret", "--layer", "0", "--feature", "1"),
        ("interpret", "prompt", f"what {HOSTILE} is this", "--layer", "2"),
        ("extract", "--model", f"nobody/{'x' * 10}", "--workspace", "other", "--debug"),
        ("extract", "--corpus", f"missing{HOSTILE}.txt", "--workspace", "other"),
        ("interpret", "--texts", f"missing{HOSTILE}.txt"),
        ("train", "--learning-rate", HOSTILE),
        ("export",),
        ("status", "--verify"),
    ]
    return [program(*command) for command in commands]


def test_secrets_are_nowhere(
    program: Callable[..., Program], tiny_model: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.jsonl"
    write_texts(texts)
    run = program(**SECRETS, GHOSTTRACK_CORPUS__REVISION="https://me:PlantedUrlPassword@host/x")
    said = pipeline(run, tiny_model, texts)
    assert said[0].code == 0, said[0].err
    planted = [
        *(value for name, value in SECRETS.items() if name != "HTTPS_PROXY"),
        "PlantedProxyPassword",
        "PlantedUrlPassword",
    ]
    written = [one.out + one.err for one in said]
    written += [
        path.read_bytes().decode("latin-1")
        for path in tmp_path.rglob("*")
        if path.is_file() and path != texts
    ]
    assert len(written) > 40
    for secret in planted:
        assert not [text[:300] for text in written if secret in text], secret


def test_nothing_that_acts_reaches_a_terminal(
    program: Callable[..., Program], tiny_model: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model \x1b[31m\u202ered"
    shutil.copytree(tiny_model, model)
    texts = tmp_path / "texts \x1b[2J\u202e.jsonl"
    write_texts(texts, HOSTILE)
    said = pipeline(program(), model, texts)
    assert said[0].code == 0, said[0].err
    for one in said:
        found = ACTS.search(one.out + one.err)
        assert found is None, (found, (one.out + one.err)[:2000])
    log = (tmp_path / "ghosttrack-data" / "ghosttrack.log").read_text()
    assert ACTS.search(log) is None


@pytest.mark.parametrize(("mask", "forbidden"), [("077", 0o077), ("022", 0o022), ("000", 0o002)])
def test_files_have_the_modes_that_the_user_asked_for(
    program: Callable[..., Program], tiny_model: Path, tmp_path: Path, mask: str, forbidden: int
) -> None:
    import os

    texts = tmp_path / "texts.jsonl"
    write_texts(texts)
    before = os.umask(int(mask, 8))
    try:
        said = program()(
            "run", "--model", tiny_model, "--corpus", texts, "--layers", "0", "--tokens", "2k"
        )
    finally:
        os.umask(before)
    assert said.code == 0, said.err
    found = [path for path in (tmp_path / "ghosttrack-data").rglob("*") if not path.is_symlink()]
    assert len(found) > 20
    wrong = {
        str(path): oct(path.stat().st_mode) for path in found if path.stat().st_mode & forbidden
    }
    assert not {
        name: mode for name, mode in wrong.items() if mask != "000" or name.endswith(".lock")
    }
    assert not [path for path in found if path.is_file() and path.stat().st_mode & stat.S_IXUSR]
