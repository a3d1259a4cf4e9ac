"""One report becomes the data files that the page reads.

browser/data/layer_6/store/index.js          columns of the list
browser/data/layer_6/store/features-0000.js  features, a megabyte a file
browser/data/layer_6/store/contrast.js       true against false, if it was asked
browser/data/layer_6/store/made_from.json    what the files were made from

What a search looks into lies in the report, where the terminal reads it too.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any

from ghosttrack_cli._version import __version__
from ghosttrack_cli.browser.pack import feature_files
from ghosttrack_cli.browser.reading import features
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.files import (
    make_folder,
    read_json,
    remove,
    sha256_file,
    write_bytes,
    write_json,
)
from ghosttrack_cli.report.feature_flags import FLAGS
from ghosttrack_cli.report.report_files import REPORT, WholeReport
from ghosttrack_cli.report.schema import LayerReport
from ghosttrack_cli.report.script import script
from ghosttrack_cli.report.stored import MISSING, SUMMARY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ghosttrack_cli.report.schema import FeatureIndex
    from ghosttrack_cli.report.stored import StoredReport

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
    whole = _open(stored)
    report = whole.record(REPORT, LayerReport)
    if report.layer != stored.layer:
        raise CorruptionError(f"a report of layer {report.layer}: {stored.folder / REPORT}")
    name = data_folder(stored)
    target = data / name
    made_from = _made_from(stored.folder, scripts)
    if not _is_current(target, made_from):
        remove(target)
        _write_files(report, whole, make_folder(target), name)
        write_json(target / MADE_FROM, made_from)
    facts = report.model_dump(
        mode="json", exclude={"index": True, "shards": True, "contrast": {"entries"}}
    )
    return {"folder": name, "files": f"layer_{stored.layer}/{stored.folder.name}", **facts}


def _open(stored: StoredReport) -> WholeReport:
    try:
        return WholeReport(stored.folder)
    except FileNotFoundError as error:
        raise CorruptionError(f"{MISSING}: {stored.folder / SUMMARY}") from error


def _write_files(report: LayerReport, whole: WholeReport, target: Path, name: str) -> None:
    entries = report.contrast.entries if report.contrast else []
    starts: list[int] = []
    by_feature = {entry.feature: entry for entry in entries}
    for file in feature_files(features(whole, report), by_feature):
        part = f"features-{len(starts):04d}"
        starts.append(file.first)
        write_bytes(target / f"{part}.js", script(f"{name}/{part}", file.payload()))
    write_bytes(target / "index.js", script(f"{name}/index", _columns(report.index, starts)))
    if report.contrast:
        contrast = report.contrast.model_dump(mode="json")
        write_bytes(target / "contrast.js", script(f"{name}/contrast", contrast))


def _columns(index: FeatureIndex, starts: list[int]) -> dict[str, Any]:
    """Columns by feature number; `starts` are the first features of the feature files."""
    return {
        "flag_names": list(FLAGS),
        "shards": starts,
        "firings": index.firings,
        "rate": index.rate,
        "max": index.max_act,
        "mean": index.mean_act,
        "telling": index.telling,
        "flags": index.flags,
    }


def _made_from(folder: Path, scripts: Sequence[str]) -> dict[str, Any]:
    """The summary lists every file of the report, so its hash stands for all."""
    assets = hashlib.sha256(b"".join(asset(name) for name in scripts)).hexdigest()
    return {"assets": assets, "summary": sha256_file(folder / SUMMARY), "version": __version__}


def _is_current(target: Path, made_from: dict[str, Any]) -> bool:
    try:
        return bool(read_json(target / MADE_FROM, limit=10_000) == made_from)
    except (FileNotFoundError, CorruptionError):
        return False


def asset(name: str) -> bytes:
    """A script or style of the page."""
    return resources.files(__package__).joinpath("assets", name).read_bytes()
