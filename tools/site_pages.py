"""What the site takes from the root of the tree, and links to it made fit. Called by mkdocs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FROM_ROOT = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "ghosttrack.toml")
"""Files that stand in the root for those who look there first."""


def on_files(files: Any, config: Any) -> Any:
    """Take the files of the root into the site."""
    from mkdocs.structure.files import File

    for name in FROM_ROOT:
        files.append(File.generated(config, name, content=(ROOT / name).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Links as they work in the repository become links that work in the site."""
    if page.file.src_path in FROM_ROOT:
        return from_root(markdown)
    return to_root(markdown)


def from_root(markdown: str) -> str:
    """A file of the root says docs/formats.md, which lies beside it in the site.

    Other links lead to files that are not in the site, and become their text.

    >>> from_root("[Formats](docs/formats.md) and [the model](src/model.py)")
    '[Formats](formats.md) and `src/model.py`'
    """
    markdown = re.sub(r"\]\(docs/", "](", markdown)
    outside = r"\[[^\]]+\]\(((?:src|tests|tools|benchmarks|notebooks|\.github|Makefile)[^)]*)\)"
    return re.sub(outside, r"`\1`", markdown)


def to_root(markdown: str) -> str:
    """A page of docs/ says ../ghosttrack.toml, which lies beside it in the site.

    >>> to_root("[ghosttrack.toml](../ghosttrack.toml)")
    '[ghosttrack.toml](ghosttrack.toml)'
    """
    names = "|".join(re.escape(name) for name in FROM_ROOT)
    return re.sub(rf"\]\(\.\./({names})\)", r"](\1)", markdown)
