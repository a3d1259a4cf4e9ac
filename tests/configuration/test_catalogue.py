"""One light table says what each setting means, defaults to and takes; the schema agrees."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

import pytest

from ghosttrack_cli.settings.catalogue import CATALOGUE, shown_default
from ghosttrack_cli.settings.fields import setting_fields
from ghosttrack_cli.settings.flags import FLAGS
from ghosttrack_cli.settings.resolve import load_settings, resolve
from ghosttrack_cli.settings.schema import Settings


def words_of(key: str) -> tuple[str, ...] | None:
    """The words that the type of a setting is limited to."""
    section, _, name = key.rpartition(".")
    model = type(getattr(Settings(), section)) if section else Settings
    annotation = model.model_fields[name].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else None


def test_the_table_has_every_setting_and_no_other() -> None:
    assert set(CATALOGUE) == set(setting_fields())


@pytest.mark.parametrize("key", CATALOGUE)
def test_the_schema_says_the_same(key: str) -> None:
    known, field = CATALOGUE[key], setting_fields()[key]
    assert field.description == known.description
    assert field.default == known.default
    assert type(field.default) is type(known.default)
    if (words := words_of(key)) is not None:
        assert known.words == words


def test_a_default_is_shown_as_it_can_be_typed() -> None:
    given = {
        key: shown_default(key)
        for key, one in CATALOGUE.items()
        if not isinstance(one.default, bool)
    }
    typed = {key: text for key, text in given.items() if CATALOGUE[key].default is not None}
    assert resolve(overrides=typed, environment=False).settings == Settings()
    assert (given["extraction.tokens"], given["sae.d_hidden"]) == ("1M", "4096")
    assert (given["sae_training.patience"], given["sae.threshold"]) == ("never", "0.001")


def test_every_flag_that_sets_something_has_a_default_to_show() -> None:
    for flag in FLAGS:
        assert f"[default: {shown_default(flag.keys[0])}]" in flag.help()
        assert shown_default(flag.keys[0])


def test_the_earlier_name_of_the_original_preset_is_read() -> None:
    earlier = load_settings(overrides={"preset": "seed"})
    assert earlier == load_settings(overrides={"preset": "original"})
    assert (earlier.preset, earlier.sae_training.batch_size) == ("original", 256)
    assert setting_fields()["preset"].valid == "one of recipe, original"
