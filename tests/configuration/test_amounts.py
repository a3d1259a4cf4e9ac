"""Amounts that cannot be misread, paths with a home folder, variables that are empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.quantities import expand_home, parse_amount
from ghosttrack_cli.settings.resolve import load_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("250000", 250_000),
        (" 300k ", 300_000),
        ("1.5M", 1_500_000),
        ("10 M", 10_000_000),
        ("1_000_000", 1_000_000),
        ("1,000,000", 1_000_000),
        ("1,500", 1500),
        ("1e6", 1_000_000),
        ("2.5E+5", 250_000),
        ("2B", 2 * 10**9),
        ("0.5k", 500),
        ("1.250M", 1_250_000),
        ("1t", 10**12),
        (1e6, 1_000_000),
        (7, 7),
    ],
)
def test_amounts_as_people_write_them(text: str | float, amount: int) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("1,5k", "15k"),
        ("1,5", "15"),
        ("1,500k", "1500k"),
        ("10,00", "1000"),
        ("1.000.000", "1000000"),
        ("1.500", "1500"),
        ("1.000,5", "10005"),
        ("1,000.5k", "10005k"),
    ],
)
def test_what_two_conventions_read_differently_is_refused(text: str, reading: str) -> None:
    with pytest.raises(UsageError, match="ambiguous amount") as caught:
        parse_amount(text)
    assert f"write {reading} if" in str(caught.value.hint)
    assert parse_amount(reading) > 0


@pytest.mark.parametrize(
    "text",
    ["", "k", "-5", "0", "1.5", "1.0001k", "1e14", "1e99", "1__0", "_1", "1_", "5 MB", "٣"],
)
def test_what_is_no_positive_whole_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_amount(text)


def test_the_hint_of_an_ambiguous_flag_is_shown() -> None:
    with pytest.raises(UsageError, match="1,5k is not valid") as caught:
        load_settings(overrides={"extraction.tokens": "1,5k"})
    assert "write 15k if" in str(caught.value.hint)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_every_setting_that_is_a_path_knows_the_home_folder(home: Path) -> None:
    given = {
        "paths.cache_dir": "~/hf",
        "paths.workspace": "~/w",
        "model.name": "~/m",
        "corpus.source": "~/t",
        "interpretation.texts": "~/i.txt",
    }
    settings = load_settings(overrides=given)
    assert settings.paths.cache_dir == home / "hf"
    assert settings.paths.workspace == home / "w"
    assert settings.model.name == str(home / "m")
    assert settings.corpus.source == str(home / "t")
    assert settings.interpretation.texts == str(home / "i.txt")


def test_the_settings_file_lies_in_the_home_folder_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "g.toml").write_text('[paths]\ncache_dir = "~/hf"\n')
    assert load_settings("~/g.toml").paths.cache_dir == home / "hf"
    monkeypatch.setenv("GHOSTTRACK_CONFIG", "~/g.toml")
    assert load_settings().paths.cache_dir == home / "hf"


@pytest.mark.parametrize("path", ["", "a\0b", "~no-such-user/x"])
def test_a_path_that_cannot_be_one_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|home"):
        expand_home(path)
    with pytest.raises(UsageError):
        load_settings(overrides={"paths.workspace": path})


def test_an_empty_variable_is_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CONFIG", "MODEL__NAME", "MODEL", "PATHS__CACHE_DIR", "NO_SUCH_SETTING"):
        monkeypatch.setenv(f"GHOSTTRACK_{name}", "")
    monkeypatch.setenv("GHOSTTRACK_SAE__D_HIDDEN", "64")
    settings = load_settings()
    assert (settings.model.name, settings.sae.d_hidden) == ("gpt2", 64)
    assert settings.paths.cache_dir is None
