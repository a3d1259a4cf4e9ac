"""The picture of the code in the documentation is the code as it is."""

from __future__ import annotations

from pathlib import Path

from tools.source_tree import with_tree

ROOT = Path(__file__).parent.parent


def test_the_tree_is_current() -> None:
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert document == with_tree(document, ROOT / "src" / "ghosttrack_cli"), "run make docs"


def test_every_module_says_what_it_is_for() -> None:
    document = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = (ROOT / "src" / "ghosttrack_cli").rglob("*.py")
    named = {path.name for path in modules if not path.name.startswith("_")}
    assert [name for name in sorted(named) if f"`{name}`" not in document] == []
