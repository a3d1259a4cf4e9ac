"""Whether the page is whole: a look at the files that its list names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli.report.stored import PAGE_LIST, PAGE_SCHEMA, wrong_sizes
from ghosttrack_cli.status.manifests import Manifest, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.workspace import Workspace


@dataclass(frozen=True)
class PageStatus:
    """The page, if there is one, and what is wrong with it."""

    path: Path | None
    problems: list[str]
    ended: bool
    """Whether it was written to its end; of an earlier version none was."""

    @property
    def whole(self) -> bool:
        """Whether nothing has to be written again."""
        return not self.problems and (self.path is None or self.ended)


def read_page(workspace: Workspace) -> PageStatus:
    """Look at the page.

    What is wrong is so at both of two looks: at the first a new page may just have taken the old
    one's place.
    """
    first, second = _problems(workspace.interpretations), _problems(workspace.interpretations)
    return PageStatus(
        path=workspace.browser if workspace.browser.is_file() else None,
        problems=[one for one in first if one in second],
        ended=(workspace.interpretations / PAGE_LIST).is_file(),
    )


def _problems(interpretations: Path) -> list[str]:
    found: list[str] = []
    listed = read_manifest(interpretations / PAGE_LIST, found, schema=PAGE_SCHEMA) or Manifest()
    missing = "missing from the page"
    return [*found, *wrong_sizes(interpretations, listed.sizes("files"), missing=missing)]
