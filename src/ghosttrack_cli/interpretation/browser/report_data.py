"""One report becomes the data files that the page reads.

browser/data/layer_6/store/index.js          columns of the list
browser/data/layer_6/store/features-0000.js  features, a megabyte a file
browser/data/layer_6/store/search-0000.js    the words of their examples
browser/data/layer_6/store/contrast.js       true against false, if it was asked
browser/data/layer_6/store/made_from.json    what the files were made from
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
from ghosttrack_cli.interpretation.browser.columns import ExampleWords, ListColumns
from ghosttrack_cli.interpretation.browser.pack import feature_files
from ghosttrack_cli.interpretation.browser.reading import features, read_record
from ghosttrack_cli.interpretation.browser.script import script
from ghosttrack_cli.interpretation.layout import REPORT
from ghosttrack_cli.interpretation.report import LayerReport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ghosttrack_cli.stored_reports import StoredReport

MADE_FROM = "made_from.json"


def data_folder(stored: StoredReport) -> str:
    """Where a report's files lie inside the data folder."""
    return f"layer_{stored.layer}/{stored.source}"


def write_report(stored: StoredReport, data: Path, scripts: Sequence[str]) -> dict[str, Any]:
    """Write the data files of a report and return what the catalogue says about it.

    Files made from the same report, by the same version and `scripts`, are left alone.

    Raises:
        CorruptionError: a report that cannot be read.
    """
    report = read_record(stored.folder / REPORT, LayerReport)
    if report.layer != stored.layer:
        raise CorruptionError(f"a report of layer {report.layer}: {stored.folder / REPORT}")
    name = data_folder(stored)
    target = data / name
    made_from = _made_from(stored.folder, scripts)
    if not _is_current(target, made_from):
        remove(target)
        _write_files(report, stored.folder, make_folder(target), name)
        write_json(target / MADE_FROM, made_from)
    facts = report.model_dump(
        mode="json", exclude={"index": True, "shards": True, "contrast": {"entries"}}
    )
    return {"folder": name, **facts}


def _write_files(report: LayerReport, folder: Path, target: Path, name: str) -> None:
    entries = report.contrast.entries if report.contrast else []
    columns, words = ListColumns(report.index), ExampleWords()
    starts: list[int] = []
    watched = words.watch(columns.watch(features(folder, report)))
    for file in feature_files(watched, {entry.feature: entry for entry in entries}):
        part = f"features-{len(starts):04d}"
        starts.append(file.first)
        write_bytes(target / f"{part}.js", script(f"{name}/{part}", file.payload()))
    for number, words_file in enumerate(words.files):
        part = f"search-{number:04d}"
        write_bytes(target / f"{part}.js", script(f"{name}/{part}", words_file))
    index = columns.payload(starts, len(words.files))
    write_bytes(target / "index.js", script(f"{name}/index", index))
    if report.contrast:
        contrast = report.contrast.model_dump(mode="json")
        write_bytes(target / "contrast.js", script(f"{name}/contrast", contrast))


def _made_from(folder: Path, scripts: Sequence[str]) -> dict[str, Any]:
    """The report holds every feature's figures, so its hash stands for its shards too."""
    assets = hashlib.sha256(b"".join(asset(name) for name in scripts)).hexdigest()
    return {"assets": assets, "report": sha256_file(folder / REPORT), "version": __version__}


def _is_current(target: Path, made_from: dict[str, Any]) -> bool:
    try:
        return bool(read_json(target / MADE_FROM, limit=10_000) == made_from)
    except (FileNotFoundError, CorruptionError):
        return False


def asset(name: str) -> bytes:
    """A script or style of the page."""
    return resources.files(__package__).joinpath("assets", name).read_bytes()
