"""Reading and writing the files of a report."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter, ValidationError

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.interpretation.report import (
    SHARD_FEATURES,
    FeatureShard,
    LayerSummary,
    OriginalExample,
    OriginalRecord,
    Record,
    shard_name,
)
from ghosttrack_cli.interpretation.search_index import SearchShard, feature_texts, search_name
from ghosttrack_cli.stored_reports import SUMMARY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ghosttrack_cli.interpretation.report import FeatureReport
    from ghosttrack_cli.workspace import Workspace

REPORT = "report.json"
ANEW = "ghosttrack interpret --overwrite"
R = TypeVar("R", bound=Record)
COMMON_TOKENS = 10


def write_features(
    folder: Path, layer: int, features: Iterable[FeatureReport]
) -> Iterator[FeatureReport]:
    """Write features, all of a layer in order, as shards into `folder`, and pass them on."""
    for name in ("features", "search"):
        files.make_folder(folder / name)
    shard: list[FeatureReport] = []
    for feature in features:
        shard.append(feature)
        yield feature
        if len(shard) == SHARD_FEATURES:
            _write_shard(folder, layer, shard)
            shard = []
    if shard:
        _write_shard(folder, layer, shard)


def _write_shard(folder: Path, layer: int, features: Sequence[FeatureReport]) -> None:
    first = features[0].feature
    shard = FeatureShard(layer=layer, first=first, features=list(features))
    write_record(folder / shard_name(first), shard)
    texts = SearchShard(features=[feature_texts(one) for one in features])
    write_record(folder / search_name(first), texts)


def write_record(path: Path, record: Record) -> None:
    """Write one record as compact JSON that carries its checksum."""
    files.write_bytes(path, files.seal_text(record.model_dump_json())[0])


def read_record(path: Path, kind: type[R]) -> R:
    """Read one file of a report.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: damaged, or not what the format says; names the place.
    """
    try:
        text, _ = files.sealed_text(path)
    except CorruptionError as error:
        raise CorruptionError(error.what, hint=ANEW) from error
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"not a {kind.__name__} of this version: {path}: {where}: {first['msg']}"
        raise CorruptionError(what, hint=ANEW) from error


def read_summary(workspace: Workspace, layer: int, source: str) -> LayerSummary | None:
    """The summary of a layer's report over `source`, None if there is none.

    Raises:
        CorruptionError: not a summary of this version.
    """
    try:
        return read_part(workspace.report(layer, source), SUMMARY, LayerSummary)
    except FileNotFoundError:
        return None


def read_part(folder: Path, name: str, kind: type[R]) -> R:
    """Read the file `name` of the report in `folder`.

    While a new report takes its place, the old one has another name for an instant.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: it is not what the format says; names the place.
    """
    for place in (folder, folder.with_name(folder.name + files.PREVIOUS_SUFFIX)):
        with suppress(FileNotFoundError):
            return read_record(place / name, kind)
    return read_record(folder / name, kind)


def original_record(feature: FeatureReport) -> OriginalRecord:
    """A feature as the original's file has it."""
    return OriginalRecord(
        feature_id=feature.feature,
        active=feature.firings > 0,
        num_activations=feature.firings,
        top_activation=feature.max_act,
        mean_activation=feature.mean_act,
        common_tokens=[(token.text, token.count) for token in feature.tokens[:COMMON_TOKENS]],
        top_examples=[
            OriginalExample(
                text="".join(example.texts),
                token=example.texts[example.peak],
                activation=example.act,
                position=example.position,
            )
            for example in (feature.examples[place] for place in feature.top)
        ],
    )


def write_original_records(path: Path, records: list[OriginalRecord]) -> None:
    """Write the original's file: a list in which feature i is element i."""
    files.write_bytes(path, TypeAdapter(list[OriginalRecord]).dump_json(records) + b"\n")
