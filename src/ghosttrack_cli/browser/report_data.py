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
from ghosttrack_cli.browser.page_files import facts_from_json, facts_to_json
from ghosttrack_cli.browser.reading import features
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.files import MAX_JSON_BYTES, read_sealed, remove, seal, sha256_file
from ghosttrack_cli.report.feature_flags import FLAGS
from ghosttrack_cli.report.report_files import REPORT, NewReport, WholeReport, facts_of
from ghosttrack_cli.report.schema import LayerReport
from ghosttrack_cli.report.script import script
from ghosttrack_cli.report.stored import MISSING, SUMMARY, wrong_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ghosttrack_cli.report.facts import FileFacts
    from ghosttrack_cli.report.feature_schema import FeatureReport
    from ghosttrack_cli.report.schema import FeatureIndex
    from ghosttrack_cli.report.stored import StoredReport

DATA = "browser/data"
MADE_FROM = "made_from.json"


def data_folder(stored: StoredReport) -> str:
    """Where a report's files lie inside the data folder."""
    return f"layer_{stored.layer}/{stored.source}"


def write_report(
    stored: StoredReport,
    page: NewReport,
    scripts: Sequence[str],
    count: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Write the data files of a report into a page and return what the catalogue says about it.

    Files made from the same report, by the same version and `scripts`, are left alone. `count` is
    told how many more features are written.

    Raises:
        CorruptionError: a report that cannot be read.
    """
    whole = _open(stored)
    report = whole.record(REPORT, LayerReport)
    if report.layer != stored.layer:
        raise CorruptionError(f"a report of layer {report.layer}: {stored.folder / REPORT}")
    name = data_folder(stored)
    made_from = _made_from(stored.folder, scripts)
    present = _present(page.folder, name, made_from)
    if present:
        page.files |= present
        count(report.counts.features)
    else:
        remove(page.folder / DATA / name)
        _write_files(report, whole, page, name, count)
        listed = {one: page.files[one] for one in page.files if one.startswith(_path(name, ""))}
        made_from["files"] = facts_to_json(listed)
        page.write(_path(name, MADE_FROM), seal(made_from)[0])
    facts = report.model_dump(
        mode="json", exclude={"index": True, "shards": True, "contrast": {"entries"}}
    )
    return {"folder": name, "files": f"layer_{stored.layer}/{stored.folder.name}", **facts}


def _open(stored: StoredReport) -> WholeReport:
    try:
        return WholeReport(stored.folder)
    except FileNotFoundError as error:
        raise CorruptionError(f"{MISSING}: {stored.folder / SUMMARY}") from error


def _path(name: str, file: str) -> str:
    """A file of the data folder `name`, as the page lists it."""
    return f"{DATA}/{name}/{file}"


def _write_files(
    report: LayerReport,
    whole: WholeReport,
    page: NewReport,
    name: str,
    count: Callable[[int], None],
) -> None:
    def counted() -> Iterator[FeatureReport]:
        for feature in features(whole, report):
            yield feature
            count(1)

    entries = report.contrast.entries if report.contrast else []
    starts: list[int] = []
    by_feature = {entry.feature: entry for entry in entries}
    for file in feature_files(counted(), by_feature):
        part = f"features-{len(starts):04d}"
        starts.append(file.first)
        page.write(_path(name, f"{part}.js"), script(f"{name}/{part}", file.payload()))
    columns = script(f"{name}/index", _columns(report.index, starts))
    page.write(_path(name, "index.js"), columns)
    if report.contrast:
        contrast = report.contrast.model_dump(mode="json")
        page.write(_path(name, "contrast.js"), script(f"{name}/contrast", contrast))


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


def _present(interpretations: Path, name: str, made_from: dict[str, Any]) -> dict[str, FileFacts]:
    """The files of a report's data that are there, by a look; none if any has to be written."""
    path = interpretations / _path(name, MADE_FROM)
    try:
        found = read_sealed(path, limit=MAX_JSON_BYTES)
        listed = facts_from_json(found.pop("files", None))
        sizes = {one: facts.bytes for one, facts in listed.items()}
        if found != made_from or any(wrong_sizes(interpretations, sizes)):
            return {}
        return listed | {_path(name, MADE_FROM): facts_of(path.read_bytes())}
    except (FileNotFoundError, CorruptionError, ValueError):
        return {}


def asset(name: str) -> bytes:
    """A script or style of the page."""
    return resources.files(__package__).joinpath("assets", name).read_bytes()
