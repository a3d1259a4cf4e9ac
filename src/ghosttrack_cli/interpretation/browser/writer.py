"""Reports on disk become a page: data as scripts, then the shell that loads them.

interpretations/
  index.html                             the shell; written last
  browser/*.js *.css                     script and style
  browser/data/catalogue.js              all layers without their features
  browser/data/layer_6/index.js          columns of the list
  browser/data/layer_6/features-0000.js  features, a megabyte a file
  browser/data/layer_6/contrast.js       true against false, if it was asked
  browser/data/layer_6/made_from.json    what the layer's files were made from
  browser/data/prompt.js                 a prompt, if there is one
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any

from ghosttrack_cli._version import __version__
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.files import (
    make_folder,
    read_json,
    remove,
    sha256_file,
    write_bytes,
    write_json,
)
from ghosttrack_cli.interpretation.browser.columns import ListColumns
from ghosttrack_cli.interpretation.browser.pack import feature_files
from ghosttrack_cli.interpretation.browser.prompt import PROMPT_FILE, PromptReport
from ghosttrack_cli.interpretation.browser.reading import features, read_record
from ghosttrack_cli.interpretation.browser.script import script
from ghosttrack_cli.interpretation.layout import REPORT
from ghosttrack_cli.interpretation.report import LayerReport
from ghosttrack_cli.stored_reports import stored_reports

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
    "parts.js",
    "catalogue.js",
    "about.js",
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
    "keys.js",
    "app.js",
)
"""In the order in which they need one another."""


_LOADED = (SCRIPTS[0], "data/catalogue.js", *SCRIPTS[1:])


def write_browser(interpretations: Path) -> Path:
    """Write the page for all layers that have a report and return the path to open.

    A layer whose files were made from the same report by the same version is left alone.

    Raises:
        CorruptionError: a report that cannot be read.
        DiskError: the page cannot be written.
    """
    data = make_folder(interpretations / "browser" / "data")
    newest = {one.layer: one for one in reversed(stored_reports(interpretations))}
    reports = [_write_layer(newest[layer].folder, data, layer) for layer in sorted(newest)]
    prompt = _write_prompt(interpretations, data, {report.layer for report in reports})
    catalogue = {
        "version": __version__,
        "layers": [_layer_facts(report) for report in reports],
        "prompt": prompt,
    }
    write_bytes(data / "catalogue.js", script("catalogue", catalogue))
    _remove_old_layers(data, {report.layer for report in reports})
    _write_assets(data.parent)
    page = interpretations / "index.html"
    write_bytes(page, _shell().encode())
    return page


def _write_layer(folder: Path, data: Path, number: int) -> LayerReport:
    report = read_record(folder / REPORT, LayerReport)
    if report.layer != number:
        raise CorruptionError(f"a report of layer {report.layer}: {folder / 'report.json'}")
    target = make_folder(data / f"layer_{number}")
    made_from = _made_from(folder)
    if not _is_current(target, made_from):
        remove(target)
        _write_data(report, folder, make_folder(target))
        write_json(target / "made_from.json", made_from)
    return report


def _write_data(report: LayerReport, folder: Path, target: Path) -> None:
    name = target.name
    entries = report.contrast.entries if report.contrast else []
    columns = ListColumns(report.index)
    starts: list[int] = []
    watched = columns.watch(features(folder, report))
    for file in feature_files(watched, {entry.feature: entry for entry in entries}):
        part = f"features-{len(starts):04d}"
        starts.append(file.first)
        write_bytes(target / f"{part}.js", script(f"{name}/{part}", file.payload()))
    write_bytes(target / "index.js", script(f"{name}/index", columns.payload(starts)))
    if report.contrast:
        contrast = report.contrast.model_dump(mode="json")
        write_bytes(target / "contrast.js", script(f"{name}/contrast", contrast))


def _made_from(folder: Path) -> dict[str, Any]:
    """The report holds every feature's figures, so its hash stands for its shards too."""
    assets = hashlib.sha256(b"".join(_asset(name) for name in SCRIPTS)).hexdigest()
    return {
        "assets": assets,
        "report": sha256_file(folder / REPORT),
        "version": __version__,
    }


def _is_current(target: Path, made_from: dict[str, Any]) -> bool:
    try:
        return bool(read_json(target / "made_from.json", limit=10_000) == made_from)
    except (FileNotFoundError, CorruptionError):
        return False


def _write_prompt(interpretations: Path, data: Path, layers: set[int]) -> bool:
    path = interpretations / PROMPT_FILE
    known: list[dict[str, Any]] = []
    if path.exists():
        report = read_record(path, PromptReport).model_dump(mode="json")
        known = [layer for layer in report["layers"] if layer["layer"] in layers]
    if known:
        write_bytes(data / "prompt.js", script("prompt", {**report, "layers": known}))
    else:
        remove(data / "prompt.js")
    return bool(known)


def _layer_facts(report: LayerReport) -> dict[str, Any]:
    return report.model_dump(
        mode="json", exclude={"index": True, "shards": True, "contrast": {"entries"}}
    )


def _remove_old_layers(data: Path, layers: set[int]) -> None:
    kept = {f"layer_{layer}" for layer in layers}
    for folder in data.glob("layer_*"):
        if folder.name not in kept:
            remove(folder)


def _asset(name: str) -> bytes:
    return resources.files(__package__).joinpath("assets", name).read_bytes()


def _write_assets(folder: Path) -> None:
    for name in (*STYLES, *SCRIPTS):
        write_bytes(folder / name, _asset(name))


def _shell() -> str:
    from jinja2 import Environment, StrictUndefined

    source = resources.files(__package__).joinpath("page.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(source)
    return template.render(version=__version__, styles=STYLES, scripts=_LOADED) + "\n"
