"""Flags > environment > file > preset > defaults, and every setting says where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.settings.resolve import explain_settings, load_settings, resolve


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "ghosttrack.toml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def test_defaults_without_any_source() -> None:
    settings = load_settings()
    assert settings.model.name == "gpt2"
    assert {one.origin for one in explain_settings()} == {"default"}


def test_each_source_wins_over_the_one_below(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().sae.threshold == 0.001
    write('preset = "original"\n')
    assert load_settings().sae.threshold == 0.1
    write('preset = "original"\n[sae]\nthreshold = 0.2\n')
    assert load_settings().sae.threshold == 0.2
    monkeypatch.setenv("GHOSTTRACK_SAE__THRESHOLD", "0.3")
    assert load_settings().sae.threshold == 0.3
    assert load_settings(overrides={"sae": {"threshold": 0.4}}).sae.threshold == 0.4


def test_siblings_of_an_override_keep_the_values_of_the_file() -> None:
    write("[sae]\nthreshold = 0.2\nd_hidden = 64\n")
    sae = load_settings(overrides={"sae": {"threshold": 0.4}}).sae
    assert (sae.threshold, sae.d_hidden) == (0.4, 64)


def test_origins_name_the_flag_the_variable_and_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    write('preset = "original"\n\n[sae]\n# a comment\nd_hidden = 64\n')
    monkeypatch.setenv("GHOSTTRACK_MODEL__NAME", "other")
    resolved = resolve(
        overrides={"extraction.tokens": "2k"}, labels={"extraction.tokens": "--tokens"}
    )
    origins = {key: given.where for key, given in resolved.origins.items()}
    assert origins["sae.d_hidden"] == "ghosttrack.toml, line 5"
    assert origins["model.name"] == "GHOSTTRACK_MODEL__NAME"
    assert origins["extraction.tokens"] == "--tokens"
    assert origins["sae.threshold"] == "preset original"
    assert resolved.settings.extraction.tokens == 2000
    assert resolved.is_given("model.name")
    assert not resolved.is_given("sae.threshold")


def test_the_preset_may_come_from_any_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GHOSTTRACK_PRESET", "seed")
    assert load_settings().sae_training.batch_size == 256
    assert load_settings(overrides={"preset": "recipe"}).sae_training.batch_size == 4096


def test_a_named_file_replaces_the_one_in_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    write("[sae]\nd_hidden = 1\n")
    other = write("[sae]\nthreshold = 0.5\n", "other.toml")
    assert load_settings(other).sae.d_hidden == 4096
    monkeypatch.setenv("GHOSTTRACK_CONFIG", "other.toml")
    assert load_settings().sae.threshold == 0.5


def test_a_whole_section_as_json_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GHOSTTRACK_SAE", '{"d_hidden": 8}')
    assert load_settings().sae.d_hidden == 8
    assert explain_settings()[0].key == "preset"


def test_empty_variables_count_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GHOSTTRACK_SAE__D_HIDDEN", "")
    assert load_settings().sae.d_hidden == 4096


def test_layers_may_be_a_toml_list() -> None:
    write("[extraction]\nlayers = [0, 6, 11]\n")
    assert load_settings().extraction.layers == "0,6,11"


def test_values_that_look_like_secrets_are_masked() -> None:
    write('[corpus]\nsource = "https://me:secret@host/data"\n[model]\nname = "hf_abcdefghijkl"\n')
    shown = {one.key: one.value for one in explain_settings()}
    assert shown["corpus.source"] == "https://***@host/data"
    assert shown["model.name"] == "***"
    with pytest.raises(UsageError) as caught:
        load_settings(overrides={"extraction": {"tokens": "hf_abcdefghijkl"}})
    assert "hf_" not in str(caught.value)
