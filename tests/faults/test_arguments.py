"""Command lines and settings that make no sense end in a sentence and an exit code."""

from __future__ import annotations

import string
import tomllib
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fault_table import fault

from ghosttrack_cli.cli.app import run_program
from ghosttrack_cli.errors import GhostTrackError
from ghosttrack_cli.settings.fields import setting_fields
from ghosttrack_cli.settings.flags import FLAGS
from ghosttrack_cli.settings.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
COMMANDS = (
    "extract", "train", "interpret", "interpret list", "interpret prompt", "status", "run",
    "export", "import", "config show", "config init",
)  # fmt: skip
NAMES = sorted({name for flag in FLAGS for name in flag.names})
OWN = (
    "--dry-run",
    "--json",
    "-q",
    "--overwrite",
    "--feature",
    "--search",
    "--sort",
    "--top",
    "--x",
)
VALUES = st.one_of(
    st.sampled_from(
        ("", "0", "-1", "6", "0-5", "5-0", "1M", "1e99", "nan", "auto", "all", "9" * 40)
    ),
    st.text(max_size=30),
    st.text(string.printable, max_size=300),
    st.integers().map(str),
    st.floats().map(str),
)
WORDS = st.lists(st.one_of(st.sampled_from(NAMES), st.sampled_from(OWN), VALUES), max_size=6)
CODES = {0, 1, 2, 3}


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder without a hub: nothing that is asked for can be done."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return tmp_path


def check_command_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = run_program(words)
    said = capsys.readouterr()
    assert code in CODES, words
    assert "Traceback" not in said.err + said.out
    assert "error: unexpected " not in said.err, said.err
    assert "\x1b" not in said.err + said.out


@pytest.mark.parametrize("command", COMMANDS)
@given(words=WORDS)
@settings(max_examples=8, suppress_health_check=QUIET)
def test_a_command_line_ends_in_a_sentence(
    nowhere: Path, capsys: pytest.CaptureFixture[str], command: str, words: list[str]
) -> None:
    check_command_line([*command.split(), *words, "--dry-run"], capsys)


@pytest.mark.faults
@pytest.mark.parametrize("command", COMMANDS)
@given(words=WORDS)
@settings(max_examples=400, suppress_health_check=QUIET)
def test_many_command_lines_end_in_a_sentence(
    nowhere: Path,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
    command: str,
    words: list[str],
) -> None:
    check_command_line([*command.split(), *words, "--dry-run"], capsys)
    record_property("fault", fault(f"command lines without sense: {command}", 1))


KEYS = st.sampled_from(sorted(setting_fields()))
ANYTHING = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=40)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


def toml_of(key: str, value: object) -> str | None:
    """A settings file with one key, None if TOML cannot hold the value."""
    from ghosttrack_cli.settings.fields import toml_value

    section, _, name = key.rpartition(".")
    try:
        text = (
            f"[{section}]\n{name} = {toml_value(value)}\n"
            if section
            else f"{name} = {toml_value(value)}\n"
        )
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, TypeError, AssertionError):
        return None
    return text


@given(key=KEYS, value=ANYTHING)
@settings(max_examples=300, suppress_health_check=QUIET)
def test_a_setting_is_valid_or_refused(tmp_path: Path, key: str, value: object) -> None:
    text = toml_of(key, value)
    if text is None:
        return
    path = tmp_path / "ghosttrack.toml"
    path.write_bytes(text.encode("utf-8", "backslashreplace"))
    with suppress(GhostTrackError):
        resolve(path, {}, {})
