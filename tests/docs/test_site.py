"""The site covers docs/, every link resolves, and the API pages name all that is public."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tools.site_pages import FROM_ROOT, from_root, to_root

import ghosttrack_cli

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])


def pages_of(entry: Any) -> Iterator[str]:
    """Every page that an entry of the navigation names."""
    if isinstance(entry, str):
        yield entry
        return
    for part in entry.values() if isinstance(entry, dict) else entry:
        yield from pages_of(part)


def test_every_page_stands_in_the_navigation_once() -> None:
    navigation = list(pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]))
    present = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    pages_of_root = [name for name in FROM_ROOT if name.endswith(".md")]
    assert sorted(navigation) == sorted([*present, *pages_of_root])


def test_every_public_name_has_its_place_in_the_api_pages() -> None:
    text = "".join(page.read_text("utf-8") for page in sorted((DOCS / "api").glob("*.md")))
    named = re.findall(r"^::: ghosttrack_cli\.(\w+)$", text, flags=re.MULTILINE)
    assert sorted(named) == sorted(set(ghosttrack_cli.__all__) - {"__version__"})


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub and mkdocs name them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+)$", text, flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return frozenset(heading.strip().replace(" ", "-") for heading in plain)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_resolves(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_links_of_the_root_fit_the_site() -> None:
    said = (
        "[a](docs/formats.md#x), [the store](src/store.py), [b](CHANGELOG.md), [c](https://x.org)"
    )
    assert (
        from_root(said)
        == "[a](formats.md#x), `src/store.py`, [b](CHANGELOG.md), [c](https://x.org)"
    )
    assert (
        to_root("[x](../ghosttrack.toml) [y](../other.md)")
        == "[x](ghosttrack.toml) [y](../other.md)"
    )
