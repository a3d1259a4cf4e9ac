"""The truth about a store: which rows are committed, and the checksum of each chunk.

`commit.json` is small whatever the store holds: checksums of older chunks lie in segments of 64
chunks that never change, each of which names the checksum of the one before. This module loads
neither numpy nor zarr, so that `status` can read a commit at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, StateError
from ghosttrack_cli.store import envelope, layout
from ghosttrack_cli.store.identity import JSON, StoreIdentity
from ghosttrack_cli.store.statistics import NormSums

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
SEGMENT_CHUNKS = 64
MAX_ROWS = 2**48
MAX_COMMIT_BYTES = 64 * 2**20
MAX_SEGMENT_BYTES = 16 * 2**20


@dataclass(frozen=True)
class ResumePoint:
    """A batch start: `cursor` is the corpus' place there, `rows_before` the rows before it."""

    cursor: JSON = None
    rows_before: int = 0

    def to_json(self) -> dict[str, JSON]:
        """As it stands in `commit.json`."""
        return {"cursor": self.cursor, "rows_before": self.rows_before}

    @classmethod
    def from_json(cls, document: JSON) -> ResumePoint:
        """Read what `to_json` gave."""
        return cls(document["cursor"], _count(document["rows_before"]))


START = ResumePoint()


@dataclass(frozen=True)
class ArrayCommit:
    """The committed part of one array."""

    rows: int = 0
    full_bytes: int = 0
    """Size of the files of its full chunks."""
    tail_bytes: int = 0
    """Size of the file of its partial last chunk."""
    segments: int = 0
    """Sealed segments, of 64 full chunks each."""
    last_segment: str | None = None
    """Checksum of the newest segment file."""
    checksums: tuple[int, ...] = ()
    """crc32c of the committed rows of every chunk after the segments."""

    def with_chunk(
        self, index: int, rows: int, chunk_rows: int, crc: int, size: int
    ) -> ArrayCommit:
        """The commit after chunk `index`, new or a fuller last one, with `rows` rows in it."""
        known = self.segments * SEGMENT_CHUNKS
        kept = self.checksums[: index - known]
        assert len(kept) == index - known
        assert len(self.checksums) - len(kept) <= 1
        full = rows == chunk_rows
        return replace(
            self,
            rows=index * chunk_rows + rows,
            full_bytes=self.full_bytes + (size if full else 0),
            tail_bytes=0 if full else size,
            checksums=(*kept, crc),
        )

    def to_json(self) -> dict[str, JSON]:
        """Checksums as eight hexadecimal digits."""
        return {
            "rows": self.rows,
            "full_bytes": self.full_bytes,
            "tail_bytes": self.tail_bytes,
            "segments": self.segments,
            "last_segment": self.last_segment,
            "checksums": [f"{checksum:08x}" for checksum in self.checksums],
        }

    @classmethod
    def from_json(cls, document: JSON, chunk_rows: int) -> ArrayCommit:
        """Read what `to_json` gave; ValueError if chunks and rows do not fit."""
        checksums = tuple(int(text, 16) for text in document["checksums"])
        found = cls(
            _count(document["rows"]),
            _count(document["full_bytes"]),
            _count(document["tail_bytes"]),
            _count(document["segments"]),
            document["last_segment"],
            checksums,
        )
        if found.segments * SEGMENT_CHUNKS + len(checksums) != -(-found.rows // chunk_rows):
            raise ValueError("the number of chunks does not fit the number of rows")
        return found


@dataclass(frozen=True)
class LayerSums:
    """Norms of a layer's full chunks, and apart from them of its partial last chunk."""

    full: NormSums = field(default_factory=NormSums)
    tail: NormSums = field(default_factory=NormSums)

    @property
    def total(self) -> NormSums:
        """All committed rows together."""
        return self.full + self.tail

    def to_json(self) -> dict[str, JSON]:
        """As it stands in `commit.json`."""
        return {"full": self.full.to_json(), "tail": self.tail.to_json()}

    @classmethod
    def from_json(cls, document: JSON) -> LayerSums:
        """Read what `to_json` gave."""
        return cls(NormSums.from_json(document["full"]), NormSums.from_json(document["tail"]))


@dataclass(frozen=True)
class Commit:
    """Everything that is committed at one instant."""

    identity: StoreIdentity
    asked_rows: int
    reached: bool = False
    """As many rows as were asked for are there; layers may still lag behind them."""
    growth: ResumePoint = START
    """Where the next rows come from."""
    filling: ResumePoint | None = None
    """Where the pass that adds layers goes on, while there are layers with fewer rows."""
    origin: ResumePoint | None = None
    """The batch that holds the first row of the segment in progress."""
    arrays: dict[str, ArrayCommit] = field(default_factory=dict)
    sums: dict[int, LayerSums] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of the store: those of token ids, document ids and positions."""
        return self.arrays[layout.TOKEN_IDS].rows

    @property
    def complete(self) -> bool:
        """Whether every layer has as many rows as were asked for."""
        return self.reached and not self.lagging

    @property
    def layers(self) -> dict[int, int]:
        """The committed rows of each layer; fewer than `rows` while a layer is being added."""
        return {layer: self.arrays[layout.layer_array(layer)].rows for layer in sorted(self.sums)}

    @property
    def lagging(self) -> tuple[int, ...]:
        """Layers that do not have all rows yet."""
        return tuple(layer for layer, rows in self.layers.items() if rows < self.rows)

    @property
    def resume(self) -> ResumePoint:
        """Where an interrupted pass goes on."""
        return self.filling or self.growth

    @property
    def cursor(self) -> JSON:
        """The corpus' place at `rows_before`; None at its start."""
        return self.resume.cursor

    @property
    def rows_before(self) -> int:
        """Rows before the batch that `cursor` describes."""
        return self.resume.rows_before

    @property
    def statistics(self) -> dict[int, NormSums]:
        """Norm sums of all committed rows of each layer."""
        return {layer: sums.total for layer, sums in sorted(self.sums.items())}

    @property
    def bytes(self) -> int:
        """Size of all chunk files."""
        return sum(array.full_bytes + array.tail_bytes for array in self.arrays.values())

    @property
    def manifest(self) -> dict[str, JSON]:
        """The identity as plain JSON."""
        return self.identity.to_json()

    @property
    def d_model(self) -> int:
        """Width of a row."""
        return self.identity.d_model

    @property
    def dtype(self) -> str:
        """Zarr data type of the activations."""
        return self.identity.dtype

    @property
    def chunk_rows(self) -> int:
        """Rows of a full chunk."""
        return self.identity.chunk_rows

    def with_layers(self, layers: tuple[int, ...]) -> Commit:
        """The same commit with empty arrays for layers that it does not have yet."""
        new = [layer for layer in layers if layer not in self.sums]
        arrays = {layout.layer_array(layer): ArrayCommit() for layer in new}
        return replace(
            self,
            arrays=self.arrays | arrays,
            sums=self.sums | {layer: LayerSums() for layer in new},
        )

    def to_json(self) -> dict[str, JSON]:
        """The document of `commit.json`, without its checksum."""
        return {
            "schema": SCHEMA,
            "identity": self.manifest,
            "rows": self.rows,
            "asked_rows": self.asked_rows,
            "reached": self.reached,
            "growth": self.growth.to_json(),
            "filling": self.filling and self.filling.to_json(),
            "origin": self.origin and self.origin.to_json(),
            "arrays": {name: array.to_json() for name, array in self.arrays.items()},
            "norms": {str(layer): sums.to_json() for layer, sums in self.sums.items()},
        }

    @classmethod
    def from_json(cls, document: JSON, *, where: object) -> Commit:
        """Read and check a commit; CorruptionError if it contradicts itself."""
        identity = StoreIdentity.from_json(document.get("identity"), where=where)
        try:
            commit = cls(
                identity,
                _count(document["asked_rows"]),
                bool(document["reached"]),
                ResumePoint.from_json(document["growth"]),
                document["filling"] and ResumePoint.from_json(document["filling"]),
                document["origin"] and ResumePoint.from_json(document["origin"]),
                {
                    name: ArrayCommit.from_json(array, identity.chunk_rows)
                    for name, array in document["arrays"].items()
                },
                {int(k): LayerSums.from_json(sums) for k, sums in document["norms"].items()},
            )
            _check(commit)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise CorruptionError(f"not a commit: {where}: {error!r}") from error
        return commit


def new_commit(identity: StoreIdentity, asked_rows: int) -> Commit:
    """The commit of a store without layers and rows."""
    arrays = {name: ArrayCommit() for name in layout.ROW_ARRAYS}
    return Commit(identity, asked_rows, arrays=arrays)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_ROWS:
        raise ValueError(f"not a count: {value!r}")
    return value


def _check(commit: Commit) -> None:
    expected = {*layout.ROW_ARRAYS, *(layout.layer_array(layer) for layer in commit.sums)}
    if set(commit.arrays) != expected:
        raise ValueError("arrays and layers do not fit")
    if any(commit.arrays[name].rows != commit.rows for name in layout.ROW_ARRAYS):
        raise ValueError("rows of token_ids, doc_ids and positions differ")
    for layer, rows in commit.layers.items():
        if rows > commit.rows or commit.sums[layer].total.rows != rows:
            raise ValueError(f"rows of layer {layer} do not fit")


def has_store(path: Path) -> bool:
    """Whether the folder `path` holds a store with at least one commit."""
    return layout.commit_path(path).is_file()


def read_commit(path: Path) -> Commit:
    """Read the newest commit of the store in the folder `path`.

    Raises:
        StateError: there is no store, or a newer version of GhostTrack wrote it.
        CorruptionError: the file is not what was committed.
    """
    file = layout.commit_path(path)
    try:
        document, _ = envelope.open_sealed(file, limit=MAX_COMMIT_BYTES)
    except FileNotFoundError:
        raise StateError(f"no activation store: {path}", hint="ghosttrack extract") from None
    if document.get("schema") != SCHEMA:
        raise StateError(
            f"store of another version: {path} has schema {document.get('schema')}, "
            f"this version reads {SCHEMA}",
            hint="install the version of ghosttrack that made it, or extract anew",
        )
    return Commit.from_json(document, where=file)


def write_commit(path: Path, commit: Commit) -> None:
    """Replace the commit atomically; the chunks that it names must be durable already."""
    files.write_bytes(layout.commit_path(path), envelope.seal(commit.to_json())[0])
