"""The page after something else than a report changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import GhostTrackError

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session


def refresh_page(session: Session) -> None:
    """Let a page that is there say which reports are of an earlier SAE; say if it cannot."""
    workspace = session.workspace
    if not workspace.browser.is_file():
        return
    from ghosttrack_cli.browser.writer import write_browser

    try:
        with files.exclusive_lock(workspace.lock("interpret"), purpose="ghosttrack train"):
            write_browser(workspace.interpretations)
    except GhostTrackError as error:
        session.console.notice(f"the page is as it was: {error.what}")
