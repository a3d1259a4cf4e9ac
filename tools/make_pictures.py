"""Make the README's pictures from the real thing: the demo's page and a feature in the terminal.

.venv/bin/python -m tools.make_pictures
"""

import os
import pty
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
LAYER, SHOWN = 4, 891
COLUMNS, ROWS = 110, 60
WIDTH, HEIGHT = 1360, 850
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
<rect x="1" y="1" width="{terminal_width}" height="{terminal_height}" rx="8" fill="#16181d"/>
<g transform="translate(9, 9)" clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def ghosttrack(folder: Path, *arguments: str) -> str:
    """What a command shows on a terminal of COLUMNS by ROWS, with its colours."""
    parent, child = pty.openpty()
    program = Path(sys.executable).with_name("ghosttrack")
    environment = {
        **os.environ,
        "COLUMNS": str(COLUMNS),
        "LINES": str(ROWS),
        "TERM": "xterm-256color",
    }
    with subprocess.Popen(
        [program, *arguments], cwd=folder, env=environment, stdout=child, stderr=subprocess.DEVNULL
    ) as running:
        os.close(child)
        shown = b"".join(_read(parent))
    assert running.returncode == 0, arguments
    return shown.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> Iterator[bytes]:
    try:
        while block := os.read(descriptor, 65536):
            yield block
    except OSError:  # the other end is closed
        return


def terminal_picture(shown: str, path: Path) -> None:
    """Draw what a terminal shows as an SVG that needs no font of its own."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: PTH123, SIM115
    console.print(Text.from_ansi(shown))
    path.write_text(console.export_svg(code_format=SVG, title="", unique_id="terminal"))


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page in the Chromium of this machine."""
    program = next(filter(None, map(shutil.which, BROWSERS)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        browser.close()


def page_picture(index: Path, path: Path) -> None:
    """A screenshot of the page at one feature."""
    with browser_page() as page:
        page.goto(f"{index.as_uri()}#layer={LAYER}&feature={SHOWN}")
        page.wait_for_timeout(1500)
        page.screenshot(path=path)


def main() -> None:
    """Run the demo in a scratch folder and draw it."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ghosttrack(folder, "demo")
        workspace = folder / "ghosttrack-demo"
        shown = ghosttrack(
            folder,
            "interpret",
            "--layer",
            str(LAYER),
            "--feature",
            str(SHOWN),
            "--workspace",
            str(workspace),
        )
        terminal_picture(shown, PICTURES / "terminal.svg")
        page_picture(workspace / "interpretations" / "index.html", PICTURES / "page.png")


if __name__ == "__main__":
    main()
