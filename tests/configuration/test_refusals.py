"""What is refused: where it stands, what would be valid, and the nearest key that exists."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.settings.fields import setting_fields
from ghosttrack_cli.settings.origins import key_lines
from ghosttrack_cli.settings.resolve import load_settings, resolve

KEYS = sorted(setting_fields())
FILE_CASES = {
    "unknown key": (
        "[sae]\nd_hiden = 5\n",
        "ghosttrack.toml, line 2: unknown setting: sae.d_hiden",
        "did you mean sae.d_hidden?",
    ),
    "key in no section": (
        "d_hidden = 5\n",
        "ghosttrack.toml, line 1: unknown setting: d_hidden",
        "did you mean sae.d_hidden?",
    ),
    "unknown section": (
        "[saes]\nd_hidden = 5\n",
        "ghosttrack.toml, line 2: unknown setting: saes.d_hidden",
        "did you mean sae.d_hidden?",
    ),
    "unknown empty section": (
        "[saee]\n",
        "ghosttrack.toml, line 1: unknown setting: saee",
        "did you mean the section [sae]?",
    ),
    "section as a key": (
        "sae = 5\n",
        "ghosttrack.toml, line 1: unknown setting: sae",
        "sae is a section: write [sae] and its keys below",
    ),
    "out of range": (
        "\n\n[sae]\nd_hidden = -5\n",
        (
            "ghosttrack.toml, line 4: sae.d_hidden = -5 is not valid,"
            " it takes a whole number from 1 to 4,194,304"
        ),
        "sae.d_hidden: number of features of each SAE",
    ),
    "wrong type": (
        '[sae_training]\nepochs = "many"\n',
        (
            'ghosttrack.toml, line 2: sae_training.epochs = "many" is not valid,'
            " it takes a whole number at least 1"
        ),
        "sae_training.epochs: passes over the stored rows",
    ),
    "a boolean is no number": (
        "[sae_training]\nepochs = true\n",
        (
            "ghosttrack.toml, line 2: sae_training.epochs = true is not valid,"
            " it takes a whole number at least 1"
        ),
        "sae_training.epochs: passes over the stored rows",
    ),
    "not one of": (
        '[extraction]\ncompress = "zip"\n',
        (
            'ghosttrack.toml, line 2: extraction.compress = "zip" is not valid,'
            " it takes one of none, lz4, zstd"
        ),
        "extraction.compress: chunk compression, with bitshuffle: none, lz4 or zstd",
    ),
    "malformed": (
        "[sae]\nd_hidden = = 5\n",
        "ghosttrack.toml: not valid TOML: Invalid value (at line 2, column 12)",
        "ghosttrack config init --path example.toml writes a file with every key and its meaning",
    ),
    "a token in the file": (
        'hf_token = "hf_secretsecret"\n',
        "ghosttrack.toml, line 1: unknown setting: hf_token",
        "keys and tokens belong in the environment, as HF_TOKEN, never in settings",
    ),
    "targets that contradict": (
        "[sae_training]\ntarget_sparsity_min = 200\ntarget_sparsity_max = 100\n",
        "sae_training.target_sparsity_min (200) is above target_sparsity_max (100)",
        (
            "set both: target_sparsity_min comes from ghosttrack.toml, line 2,"
            " target_sparsity_max comes from ghosttrack.toml, line 3"
        ),
    ),
}
ENVIRONMENT_CASES = {
    "unknown": (
        "GHOSTTRACK_SAE__D_HIDEN",
        "5",
        "GHOSTTRACK_SAE__D_HIDEN: unknown setting",
        "did you mean GHOSTTRACK_SAE__D_HIDDEN?",
    ),
    "a token": (
        "GHOSTTRACK_HF_TOKEN",
        "hf_secretsecret",
        "GHOSTTRACK_HF_TOKEN: unknown setting",
        "keys and tokens belong in the environment, as HF_TOKEN, never in settings",
    ),
    "out of range": (
        "GHOSTTRACK_EXTRACTION__TOKENS",
        "-1",
        (
            "GHOSTTRACK_EXTRACTION__TOKENS: -1 is not valid, it takes an amount from 1 to"
            " 10,000,000,000,000, written 250000, 300k or 1M"
        ),
        "extraction.tokens: tokens to store per layer: 250000, 300k, 1M",
    ),
    "half a section": (
        "GHOSTTRACK_SAE",
        '{"d_hidden"',
        "GHOSTTRACK_SAE: not a JSON object with the section's keys",
        "set one key at a time, as GHOSTTRACK_SAE__KEY",
    ),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("case", FILE_CASES)
def test_file(case: str) -> None:
    text, what, hint = FILE_CASES[case]
    Path("ghosttrack.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert (caught.value.what, caught.value.hint) == (what, hint)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("case", ENVIRONMENT_CASES)
def test_environment(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, value, what, hint = ENVIRONMENT_CASES[case]
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert (caught.value.what, caught.value.hint) == (what, hint)


def test_flag() -> None:
    with pytest.raises(UsageError) as caught:
        resolve(
            overrides={"extraction.compress": "zip"}, labels={"extraction.compress": "--compress"}
        )
    assert caught.value.what == "--compress: zip is not valid, it takes one of none, lz4, zstd"


def test_a_missing_file_that_was_asked_for() -> None:
    with pytest.raises(UsageError, match=r"--config: no such file: nowhere\.toml"):
        load_settings("nowhere.toml")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "."])
def test_a_file_that_cannot_be_one(name: str) -> None:
    with pytest.raises(UsageError, match=r"no such file|no NUL"):
        load_settings(name)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"a = " + b"[" * 5000, b"a = " + b"9" * 5000, b"#" * (2**20 + 1), b"\0"],
)
def test_bytes_that_are_no_settings(content: bytes) -> None:
    Path("ghosttrack.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"^ghosttrack\.toml: "):
        load_settings()


TOML_VALUES = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True),
    st.booleans(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(
        st.text(string.ascii_lowercase, min_size=1, max_size=3), st.integers(), max_size=2
    ),
)


def assert_taken(found: Any, key: str, given: Any) -> None:
    """The setting has the value that was given, or what a text or list says in its type."""
    for name in key.split("."):
        found = getattr(found, name)
    plain_text = isinstance(given, str) and isinstance(found, str)
    number = isinstance(given, bool | int | float) and isinstance(found, bool | int | float)
    if plain_text or number:
        assert found == given, key


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=12), TOML_VALUES, max_size=4))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_override_is_taken_or_refused_with_its_key(overrides: dict[str, Any]) -> None:
    try:
        resolved = resolve(overrides=overrides)
    except UsageError as error:
        assert error.hint  # noqa: PT017 - both ends are fine
        assert any(key in error.what for key in overrides)  # noqa: PT017
    else:
        assert set(overrides) <= set(KEYS)
        for key, given in overrides.items():
            assert resolved.is_given(key)
            assert_taken(resolved.settings, key, given)


@given(st.text(max_size=80))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_as_a_file_is_taken_or_refused(text: str) -> None:
    Path("ghosttrack.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load_settings()
    except UsageError as error:
        assert "ghosttrack.toml" in error.what  # noqa: PT017


def test_lines_of_keys_and_sections() -> None:
    text = 'preset = "original"\n[sae]\nd_hidden = 1\n\n[ sae_training ] # x\n"epochs" = 2\n'
    assert key_lines(text) == {
        "preset": 1,
        "sae": 2,
        "sae.d_hidden": 3,
        "sae_training": 5,
        "sae_training.epochs": 6,
    }
