"""Reports on disk become a page: data as scripts, then the shell that loads them.

interpretations/
  index.html                             the shell; written last
  browser/*.js *.css                     script and style
  browser/data/catalogue.js              all layers without their features
  browser/data/layer_6/store/*.js        the layer's report over the store; see report_data.py
  browser/data/prompt.js                 a prompt, if there is one
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from ghosttrack_cli._version import __version__
from ghosttrack_cli.browser.prompt import PROMPT_FILE, PromptReport
from ghosttrack_cli.browser.report_data import asset, data_folder, write_report
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.files import make_folder, remove, write_bytes
from ghosttrack_cli.report.feature_flags import MEANINGS
from ghosttrack_cli.report.report_files import read_record
from ghosttrack_cli.report.script import script
from ghosttrack_cli.report.stored import StoredReport, stored_reports
from ghosttrack_cli.sae.checksums import is_outdated
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

STYLES = ("base.css", "parts.css", "lists.css", "feature.css", "print.css")
SCRIPTS = (
    "core.js",
    "dom.js",
    "format.js",
    "tip.js",
    "reader.js",
    "colour.js",
    "theme.js",
    "catalogue.js",
    "parts.js",
    "about.js",
    "search.js",
    "columns.js",
    "query.js",
    "virtual.js",
    "tokens.js",
    "pairs.js",
    "charts.js",
    "histogram.js",
    "lines.js",
    "scatter.js",
    "metrics.js",
    "overview.js",
    "curves.js",
    "layer.js",
    "features.js",
    "feature.js",
    "contrast.js",
    "prompt.js",
    "found.js",
    "keys.js",
    "app.js",
)
"""In the order in which they need one another."""


_LOADED = (SCRIPTS[0], "data/catalogue.js", *SCRIPTS[1:])


def write_browser(interpretations: Path) -> Path:
    """Write the page for all reports and return the path to open.

    A report that cannot be read is left out, and the page says so.

    Raises:
        CorruptionError: no report can be read, but there are some.
        DiskError: the page cannot be written.
    """
    data = make_folder(interpretations / "browser" / "data")
    written, damaged = _write_reports(stored_reports(interpretations), data)
    workspace = Workspace(interpretations.parent)
    reports = [one | {"outdated": _is_outdated(workspace, one)} for one in written.values()]
    prompt = _write_prompt(interpretations, data, {report["layer"] for report in reports})
    catalogue = {
        "version": __version__,
        "flags": MEANINGS,
        "layers": reports,
        "damaged": damaged,
        **prompt,
    }
    write_bytes(data / "catalogue.js", script("catalogue", catalogue))
    _remove_others(data, set(written))
    _write_assets(data.parent)
    page = interpretations / "index.html"
    write_bytes(page, _shell().encode())
    return page


def _write_reports(
    stored: list[StoredReport], data: Path
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Facts of the reports by data folder, and which cannot be read."""
    written: dict[str, dict[str, Any]] = {}
    damaged: list[dict[str, Any]] = []
    found: CorruptionError | None = None
    for one in stored:
        try:
            written[data_folder(one)] = write_report(one, data, SCRIPTS)
        except CorruptionError as error:
            found = found or error
            damaged.append({"layer": one.layer, "source": one.source})
    if found and not written:
        raise found
    return written, damaged


def _remove_others(data: Path, kept: set[str]) -> None:
    """Remove the files of reports that are gone."""
    for layer in data.glob("layer_*"):
        for entry in layer.iterdir():
            if f"{layer.name}/{entry.name}" not in kept:
                remove(entry)
        if not any(layer.iterdir()):
            remove(layer)


def _is_outdated(workspace: Workspace, report: dict[str, Any]) -> bool:
    sae = report["sae"]
    return is_outdated(workspace, report["layer"], sae["checkpoint"], sae["weights_sha256"])


def _write_prompt(interpretations: Path, data: Path, layers: set[int]) -> dict[str, bool]:
    """Whether there is a prompt on the layers that are shown, and whether its file is damaged."""
    known: list[dict[str, Any]] = []
    damaged = False
    try:
        prompt = read_record(interpretations / PROMPT_FILE, PromptReport).model_dump(mode="json")
        known = [layer for layer in prompt["layers"] if layer["layer"] in layers]
    except FileNotFoundError:
        prompt = {}
    except CorruptionError:
        damaged = True
    if known:
        write_bytes(data / "prompt.js", script("prompt", {**prompt, "layers": known}))
    else:
        remove(data / "prompt.js")
    return {"prompt": bool(known), "prompt_damaged": damaged}


def _write_assets(folder: Path) -> None:
    for name in (*STYLES, *SCRIPTS):
        write_bytes(folder / name, asset(name))


def _shell() -> str:
    from jinja2 import Environment, StrictUndefined

    source = resources.files(__package__).joinpath("page.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(source)
    return template.render(version=__version__, styles=STYLES, scripts=_LOADED) + "\n"
