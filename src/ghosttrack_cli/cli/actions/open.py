"""The page in the browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import TYPE_CHECKING

from ghosttrack_cli.cli.actions.feature_files import move_old_reports
from ghosttrack_cli.errors import StateError

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def open_page(session: Session) -> None:
    """Open the page, and print its path.

    Raises:
        StateError: there is none yet.
    """
    move_old_reports(session)
    page = session.workspace.browser
    if not page.is_file():
        raise StateError(f"no page yet: there is no {page}", hint=session.again("interpret"))
    opened = has_display() and webbrowser.open(page.resolve().as_uri())
    session.emit({"browser": str(page), "opened": opened}, lambda console: console.lines(str(page)))
    if not opened:
        session.console.notice("could not start a browser: open the file yourself")


def has_display() -> bool:
    """Whether a browser has somewhere to appear; one in the terminal would take it over."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in DISPLAYS)
