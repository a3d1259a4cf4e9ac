"""Reports of earlier versions, directly in their layer's folder, move into that of their source.

What those versions did not write is made from what they did: the name of the source's folder, how
telling each feature is, the files of a search, and the summary's list of files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ghosttrack_cli import files
from ghosttrack_cli.browser.writer import write_browser
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.interpretation.features.feature_statistics import telling
from ghosttrack_cli.interpretation.sources.slugs import hashed, plain_name
from ghosttrack_cli.report import report_files
from ghosttrack_cli.report.feature_schema import FeatureReport, FiringToken
from ghosttrack_cli.report.schema import LayerReport, LayerSummary, OriginalRecord
from ghosttrack_cli.report.search_files import SearchFiles
from ghosttrack_cli.report.stored import OLD_FILES, SCHEMA_VERSION, SUMMARY, old_layouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import Workspace

JSON = dict[str, Any]


def move_old_reports(workspace: Workspace, notice: Callable[[str], None]) -> None:
    """Move each into its source's folder, and say so; what cannot be read stays, and is named.

    For whoever holds the lock on the reports.
    """
    layers = old_layouts(workspace.interpretations)
    moved = [layer for layer in layers if _move(workspace, layer, notice)]
    if moved:
        write_browser(workspace.interpretations)


def _move(workspace: Workspace, layer: AnySite, notice: Callable[[str], None]) -> bool:
    old = workspace.interpretations / f"layer_{layer}"
    try:
        summary = _read(old / SUMMARY)
        target = workspace.report(layer, _slug(summary["source"]))
        if not target.exists():  # where it does, the report over this source was made anew
            _OldReport(old, layer, summary).write(workspace, target)
    except (CorruptionError, FileNotFoundError, ValidationError, LookupError, TypeError) as error:
        reason = error.what if isinstance(error, CorruptionError) else "a part of it is missing"
        notice(f"a report of an earlier version cannot be read, and stays: {old}: {reason}")
        return False
    for name in OLD_FILES:
        files.remove(old / name)
    notice(f"moved the report of an earlier version in {old} to {target}")
    return True


class _OldReport:
    """A report in the old layout."""

    def __init__(self, folder: Path, layer: AnySite, summary: JSON) -> None:
        self._folder = folder
        self._layer = layer
        self._summary = summary
        self._document = _read(folder / report_files.REPORT)

    def write(self, workspace: Workspace, target: Path) -> None:
        """Write it as this version does; it stays as old as it is."""
        temporary = files.temporary_path(target)
        files.remove(temporary)
        new, records, told = (
            report_files.NewReport(temporary),
            list[OriginalRecord](),
            list[float](),
        )
        search = SearchFiles(new, self._layer, target.name)
        for feature in new.write_features(self._layer, self._features()):
            search.add(feature)
            records.append(report_files.original_record(feature))
            told.append(feature.telling)
        search.finish()
        index = {"telling": told, **self._document["index"]}
        report = _renewed(self._document) | {"index": index}
        new.write_record(report_files.REPORT, LayerReport.model_validate(report))
        original = report_files.original_file(records)
        listed = {"files": new.files, "records": report_files.facts_of(original)}
        summary = LayerSummary.model_validate(_renewed(self._summary) | listed)
        report_files.write_record(temporary / SUMMARY, summary)
        files.copy_times(self._folder / SUMMARY, temporary / SUMMARY)
        files.write_bytes(workspace.interpretation(self._layer, target.name), original)
        files.replace_folder(temporary, target)

    def _features(self) -> Iterator[FeatureReport]:
        for name in map(Path, self._document["shards"]):
            for feature in _read(self._folder / "features" / name.name)["features"]:
                yield FeatureReport.model_validate({"telling": _telling(feature), **feature})


def _renewed(document: JSON) -> JSON:
    source = {"slug": _slug(document["source"]), **document["source"]}
    return document | {"schema": SCHEMA_VERSION, "source": source}


def _read(path: Path) -> JSON:
    """A file of a report: sealed, or without a checksum as before."""
    document = files.read_json(path)
    return files.read_sealed(path) if "checksum" in document else document


def _slug(source: JSON) -> str:
    """The source's name; that of a file or data set is made of what the report says about it."""
    if "slug" in source:
        return str(source["slug"])
    if source["kind"] in {"store", "truthfulqa"}:
        return str(source["kind"])
    name = Path(source["name"])
    return hashed(f"{'texts' if name.suffix else 'corpus'}-{plain_name(name.stem)}", source)


def _telling(feature: JSON) -> float:
    tokens = [FiringToken.model_validate(one) for one in feature["tokens"]]
    return float(f"{telling(tokens, feature['windows'], feature['flags']):.6g}")
