"""Reading and writing the files of a report, which its summary lists with size and checksum."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter, ValidationError

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.report.facts import FileFacts
from ghosttrack_cli.report.feature_schema import SHARD_FEATURES, FeatureShard, shard_name
from ghosttrack_cli.report.record import Record
from ghosttrack_cli.report.schema import LayerSummary, OriginalExample, OriginalRecord
from ghosttrack_cli.report.stored import MISSING, SUMMARY, how_to_make, wrong_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ghosttrack_cli.report.feature_schema import FeatureReport
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import Workspace

REPORT = "report.json"
R = TypeVar("R", bound=Record)
COMMON_TOKENS = 10


class NewReport:
    """A report that is being written into `folder`: what it is made of is listed as it goes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, FileFacts] = {}

    def write(self, name: str, data: bytes) -> None:
        """Write one file."""
        path = self.folder / name
        files.make_folder(path.parent)
        files.write_bytes(path, data)
        self.files[name] = facts_of(data)

    def write_record(self, name: str, record: Record) -> None:
        """Write one file that is a record."""
        self.write(name, sealed_record(record))

    def write_features(
        self, layer: AnySite, features: Iterable[FeatureReport]
    ) -> Iterator[FeatureReport]:
        """Write features, all of a layer in order, as shards, and pass them on."""
        shard: list[FeatureReport] = []
        for feature in features:
            shard.append(feature)
            yield feature
            if len(shard) == SHARD_FEATURES:
                self._write_shard(layer, shard)
                shard = []
        if shard:
            self._write_shard(layer, shard)

    def _write_shard(self, layer: AnySite, features: Sequence[FeatureReport]) -> None:
        first = features[0].feature
        shard = FeatureShard(layer=layer, first=first, features=list(features))
        self.write_record(shard_name(first), shard)


def facts_of(data: bytes) -> FileFacts:
    """How the summary lists a file of these bytes."""
    return FileFacts(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


class WholeReport:
    """A report on disk; each file is checked against the summary's list when it is read."""

    def __init__(self, folder: Path) -> None:
        """Read the summary.

        Raises:
            FileNotFoundError: there is no report.
            CorruptionError: its summary is damaged, or of another version.
        """
        self.folder = folder
        self.summary = read_part(folder, SUMMARY, LayerSummary)

    def record(self, name: str, kind: type[R]) -> R:
        """One file that is a record.

        Raises:
            CorruptionError: missing, damaged, or not what the format says; names the file.
        """
        path = self.folder / name
        return parse_record(self.data(name), path, kind, how_to_make(self.folder))

    def data(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            CorruptionError: missing, or not the bytes that were written.
        """
        try:
            return self._data(name)
        except CorruptionError:
            # A new report may have taken this one's place since its summary was read.
            summary = read_part(self.folder, SUMMARY, LayerSummary)
            if summary == self.summary:
                raise
            self.summary = summary
            return self._data(name)

    def _data(self, name: str) -> bytes:
        facts, hint = self.summary.files.get(name), how_to_make(self.folder)
        for place in _places(self.folder):
            with suppress(FileNotFoundError):
                return checked_bytes(place / name, facts, hint)
        raise CorruptionError(f"{MISSING}: {self.folder / name}", hint=hint)

    def check(self, records: Path) -> None:
        """Read every file, `records`, the original's, too.

        Raises:
            CorruptionError: the first that is missing or damaged.
        """
        for name in self.summary.files:
            self.data(name)
        self.check_records(records)

    def check_records(self, records: Path) -> None:
        """Read the original's file.

        Raises:
            CorruptionError: missing, or not the bytes that were written.
        """
        try:
            checked_bytes(records, self.summary.records, how_to_make(self.folder))
        except FileNotFoundError as error:
            hint = how_to_make(self.folder)
            raise CorruptionError(f"{MISSING}: {records}", hint=hint) from error


def checked_bytes(path: Path, facts: FileFacts | None, hint: str | None) -> bytes:
    """The bytes of a file that is listed with `facts`.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: it is not listed, or has other bytes.
    """
    if facts is None:
        raise CorruptionError(f"damaged: {path}: not listed in {SUMMARY}", hint=hint)
    if what := wrong_size(path, facts.bytes):
        raise CorruptionError(what, hint=hint)
    data = files.read_bytes(path, limit=facts.bytes)
    if hashlib.sha256(data).hexdigest() != facts.sha256:
        raise CorruptionError(f"damaged: {path}: checksum does not match", hint=hint)
    return data


def sealed_record(record: Record) -> bytes:
    """One record as compact JSON that carries its checksum."""
    return files.seal_text(record.model_dump_json())[0]


def write_record(path: Path, record: Record) -> None:
    """Write one record."""
    files.write_bytes(path, sealed_record(record))


def read_record(path: Path, kind: type[R], hint: str | None = None) -> R:
    """Read one file that is a record; `hint` says what makes it anew.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: damaged, or not what the format says; names the place.
    """
    return parse_record(files.read_bytes(path, limit=files.MAX_JSON_BYTES), path, kind, hint)


def parse_record(data: bytes, path: Path, kind: type[R], hint: str | None) -> R:
    """The record in `data`, the bytes of `path`.

    Raises:
        CorruptionError: damaged, or not what the format says; names the place.
    """
    try:
        text, _ = files.unseal(data, path)
    except CorruptionError as error:
        raise CorruptionError(error.what, hint=hint) from error
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"not a {kind.__name__} of this version: {path}: {where}: {first['msg']}"
        raise CorruptionError(what, hint=hint) from error


def read_summary(workspace: Workspace, layer: AnySite, source: str) -> LayerSummary | None:
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

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: it is not what the format says; names the place.
    """
    hint = how_to_make(folder)
    for place in _places(folder):
        with suppress(FileNotFoundError):
            return read_record(place / name, kind, hint)
    return read_record(folder / name, kind, hint)


def _places(folder: Path) -> tuple[Path, Path]:
    """While a new report takes its place, the old one has another name for an instant."""
    return folder, folder.with_name(folder.name + files.PREVIOUS_SUFFIX)


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


def original_file(records: list[OriginalRecord]) -> bytes:
    """The original's file: a list in which feature i is element i."""
    return TypeAdapter(list[OriginalRecord]).dump_json(records) + b"\n"
