"""ghosttrack.toml in the repository is the reference: current, complete, and without effect."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli.settings.fields import setting_fields
from ghosttrack_cli.settings.flags import FLAGS
from ghosttrack_cli.settings.resolve import load_settings, reference_toml
from ghosttrack_cli.settings.schema import Settings

if TYPE_CHECKING:
    import pytest

FILE = Path(__file__).parents[2] / "ghosttrack.toml"


def uncommented(text: str) -> str:
    return re.sub(r"^#(?=\w+ = )", "", text, flags=re.MULTILINE)


def test_the_file_is_current() -> None:
    assert FILE.read_text() == reference_toml(), "run tools/write_docs.py"


def test_as_it_is_it_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(FILE) == Settings()


def test_uncommented_it_holds_every_setting(tmp_path: Path) -> None:
    path = tmp_path / "all.toml"
    path.write_text(uncommented(FILE.read_text()))
    document = tomllib.loads(path.read_text())
    keys = {
        f"{section}.{key}" if isinstance(value, dict) else section
        for section, value in document.items()
        for key in (value if isinstance(value, dict) else [""])
    }
    assert keys == set(setting_fields())
    loaded = load_settings(path)
    for key, field in setting_fields().items():
        if field.default is not None:
            value = loaded
            for name in key.split("."):
                value = getattr(value, name)
            assert value == field.default, key


def test_every_setting_says_what_it_means_and_takes() -> None:
    for field in setting_fields().values():
        assert field.description, field.key
        assert field.valid, field.key


def test_every_flag_sets_a_setting_and_says_what_it_means() -> None:
    for flag in FLAGS:
        assert set(flag.keys) <= set(setting_fields()), flag
        assert flag.help(), flag
        assert flag.commands, flag
