"""Reports on disk become a page: data as scripts, then the shell that loads them.

interpretations/
  index.html                             the shell; only the list comes later
  browser/*.js *.css                     script and style
  browser/data/catalogue.js              all layers without their features
  browser/data/layer_6/store/*.js        the layer's report over the store; see report_data.py
  browser/data/prompt.js                 a prompt, if there is one
  browser/files.json                     all of these with their checksums; see page_files.py
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from ghosttrack_cli._version import __version__
from ghosttrack_cli.browser.page_files import SHELL, begin_page, end_page
from ghosttrack_cli.browser.prompt import PROMPT_FILE, PromptReport
from ghosttrack_cli.browser.report_data import DATA, asset, data_folder, write_report
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.files import make_folder, remove
from ghosttrack_cli.monitor import SILENT, Monitor, Part, Progress
from ghosttrack_cli.report.feature_flags import MEANINGS
from ghosttrack_cli.report.report_files import NewReport, read_part, read_record
from ghosttrack_cli.report.schema import LayerSummary
from ghosttrack_cli.report.script import script
from ghosttrack_cli.report.stored import SUMMARY, StoredReport, stored_reports
from ghosttrack_cli.sae.checksums import is_outdated
from ghosttrack_cli.site import Site
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


PAGE = Part("page")
_LOADED = (SCRIPTS[0], "data/catalogue.js", *SCRIPTS[1:])


def write_browser(interpretations: Path, monitor: Monitor = SILENT, part: Part = PAGE) -> Path:
    """Write the page for all reports and return the path to open.

    A report that cannot be read is left out, and the page says so. `monitor` is told how far the
    `part`, which was begun, is.

    Raises:
        CorruptionError: no report can be read, but there are some.
        DiskError: the page cannot be written.
    """
    begin_page(interpretations)
    page = NewReport(interpretations)
    data = make_folder(interpretations / DATA)
    written, damaged = _write_reports(stored_reports(interpretations), page, monitor, part)
    workspace = Workspace(interpretations.parent)
    reports = [one | {"outdated": _is_outdated(workspace, one)} for one in written.values()]
    prompt = _write_prompt(page, {report["layer"] for report in reports})
    catalogue = {
        "version": __version__,
        "flags": MEANINGS,
        "layers": reports,
        "damaged": damaged,
        **prompt,
    }
    page.write(f"{DATA}/catalogue.js", script("catalogue", catalogue))
    _remove_others(data, set(written))
    for name in (*STYLES, *SCRIPTS):
        page.write(f"browser/{name}", asset(name))
    page.write(SHELL, _shell().encode())
    end_page(interpretations, page.files)
    return interpretations / SHELL


def _write_reports(
    stored: list[StoredReport], page: NewReport, monitor: Monitor, part: Part
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Facts of the reports by data folder, and which cannot be read."""
    written: dict[str, dict[str, Any]] = {}
    damaged: list[dict[str, Any]] = []
    found: CorruptionError | None = None
    done, total = 0, sum(map(_features, stored))

    def count(features: int) -> None:
        nonlocal done
        done += features
        monitor.progress(Progress(part.name, done, total, "features"))

    for one in stored:
        try:
            written[data_folder(one)] = write_report(one, page, SCRIPTS, count)
        except CorruptionError as error:
            found = found or error
            damaged.append({"layer": one.layer.json, "source": one.source})
    if found and not written:
        raise found
    return written, damaged


def _features(stored: StoredReport) -> int:
    try:
        return read_part(stored.folder, SUMMARY, LayerSummary).counts.features
    except (FileNotFoundError, CorruptionError):
        return 0


def _remove_others(data: Path, kept: set[str]) -> None:
    """Remove the files of reports that are gone."""
    for layer in data.glob("layer_*"):
        for entry in layer.iterdir():
            if f"{layer.name}/{entry.name}" not in kept:
                remove(entry)
        if not any(layer.iterdir()):
            remove(layer)


def _is_outdated(workspace: Workspace, report: dict[str, Any]) -> bool:
    layer, sae = Site.parse(report["layer"]), report["sae"]
    return is_outdated(workspace, layer, sae["checkpoint"], sae["weights_sha256"])


def _write_prompt(page: NewReport, layers: set[int | str]) -> dict[str, bool]:
    """Whether there is a prompt on the layers that are shown, and whether its file is damaged."""
    known: list[dict[str, Any]] = []
    damaged = False
    try:
        prompt = read_record(page.folder / PROMPT_FILE, PromptReport).model_dump(mode="json")
        known = [layer for layer in prompt["layers"] if layer["layer"] in layers]
    except FileNotFoundError:
        prompt = {}
    except CorruptionError:
        damaged = True
    if known:
        page.write(f"{DATA}/prompt.js", script("prompt", {**prompt, "layers": known}))
    else:
        remove(page.folder / DATA / "prompt.js")
    return {"prompt": bool(known), "prompt_damaged": damaged}


def _shell() -> str:
    from jinja2 import Environment, StrictUndefined

    source = resources.files(__package__).joinpath("page.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(source)
    return template.render(version=__version__, styles=STYLES, scripts=_LOADED) + "\n"
