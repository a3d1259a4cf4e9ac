"""The checks of the page's scripts: pinned, and never left out without a word."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "tools" / "page"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A machine without Node.js, whose Python cannot install anything."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "dirname", "env"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    python = folder / "python"
    python.write_text('#!/usr/bin/env bash\n[ "$1" = -c ] && echo /nowhere || exit 1\n')
    python.chmod(0o755)
    return folder


def test_a_machine_without_node_is_told_what_is_missing(bare: Path) -> None:
    done = subprocess.run(
        [str(ROOT / "tools" / "lint-page"), str(bare / "python")],
        env={"PATH": str(bare)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: no Node.js from 20.19 on, and no wheel of it for this machine",
        "hint: install Node.js with npm, then run make lint again",
    ]


def test_what_checks_the_page_is_pinned_and_names_no_registry() -> None:
    package = json.loads((PAGE / "package.json").read_text("utf-8"))
    lock = json.loads((PAGE / "package-lock.json").read_text("utf-8"))["packages"]
    for name, version in package["devDependencies"].items():
        assert lock[f"node_modules/{name}"]["version"] == version
    assert all("resolved" not in entry for entry in lock.values())


def test_every_script_of_the_page_is_checked() -> None:
    scripts = list((ROOT / "src").rglob("*.js"))
    assert len(scripts) > 20
    assert all(script.parent.name == "assets" for script in scripts)
    assert "../../src/ghosttrack_cli/**/assets/*.js" in (PAGE / "tsconfig.json").read_text("utf-8")
