"""The truth about a store: which rows are committed, and the checksum of each chunk.

`commit.json` is small whatever the store holds: checksums of older chunks lie in segments of 64
chunks that never change, each of which names the checksum of the one before. This module loads
neither numpy nor zarr, so that `status` can read a commit at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, StateError
from ghosttrack_cli.site import Site, in_order
from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.format.commit_parts import (
    START,
    ArrayCommit,
    LayerSums,
    ResumePoint,
    read_count,
    read_counts,
)
from ghosttrack_cli.store.format.identity import JSON, StoreIdentity

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.format.statistics import NormSums

SCHEMA = 1
MAX_COMMIT_BYTES = 64 * 2**20


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
    sums: dict[AnySite, LayerSums] = field(default_factory=dict)
    text: dict[str, int] | None = None
    """Of the text behind the rows: documents, and by reason what was left out; known at the end."""

    @property
    def rows(self) -> int:
        """Rows of the store: those of token ids, document ids and positions."""
        return self.arrays[layout.TOKEN_IDS].rows

    @property
    def complete(self) -> bool:
        """Whether every layer has as many rows as were asked for."""
        return self.reached and not self.lagging

    @property
    def corpus_ended(self) -> bool:
        """Whether every layer has all rows that the text has, and more were asked for."""
        return self.text is not None and not self.reached and not self.lagging

    @property
    def layers(self) -> dict[AnySite, int]:
        """The committed rows of each layer; fewer than `rows` while a layer is being added."""
        return {layer: self.arrays[layout.layer_array(layer)].rows for layer in in_order(self.sums)}

    @property
    def lagging(self) -> tuple[AnySite, ...]:
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
    def statistics(self) -> dict[AnySite, NormSums]:
        """Norm sums of all committed rows of each layer."""
        return {layer: self.sums[layer].total for layer in in_order(self.sums)}

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

    def with_layers(self, layers: tuple[AnySite, ...]) -> Commit:
        """The same commit with empty arrays for layers that it does not have yet."""
        new = [site for site in in_order(layers) if site not in self.sums]
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
            "text": self.text,
            "norms": {str(layer): sums.to_json() for layer, sums in self.sums.items()},
        }

    @classmethod
    def from_json(cls, document: JSON, *, where: object) -> Commit:
        """Read and check a commit; CorruptionError if it contradicts itself."""
        identity = StoreIdentity.from_json(document.get("identity"), where=where)
        try:
            commit = cls(
                identity,
                read_count(document["asked_rows"]),
                bool(document["reached"]),
                ResumePoint.from_json(document["growth"]),
                document["filling"] and ResumePoint.from_json(document["filling"]),
                document["origin"] and ResumePoint.from_json(document["origin"]),
                {
                    name: ArrayCommit.from_json(array, identity.chunk_rows)
                    for name, array in document["arrays"].items()
                },
                {Site.parse(k): LayerSums.from_json(sums) for k, sums in document["norms"].items()},
                read_counts(document.get("text")),
            )
            _check(commit)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise CorruptionError(f"not a valid commit:  {where}: {error!r}") from error
        return commit


def new_commit(identity: StoreIdentity, asked_rows: int) -> Commit:
    """The commit of a store without layers and rows."""
    arrays = {name: ArrayCommit() for name in layout.ROW_ARRAYS}
    return Commit(identity, asked_rows, arrays=arrays)


def _check(commit: Commit) -> None:
    expected = {*layout.ROW_ARRAYS, *(layout.layer_array(layer) for layer in commit.sums)}
    if set(commit.arrays) != expected:
        raise ValueError("arrays and layers do not match")
    if any(commit.arrays[name].rows != commit.rows for name in layout.ROW_ARRAYS):
        raise ValueError("rows of token_ids, doc_ids and positions differ")
    for layer, rows in commit.layers.items():
        if rows > commit.rows or commit.sums[layer].total.rows != rows:
            raise ValueError(f"rows of layer {layer} do not match")


def standing(path: Path) -> Path:
    """The folder with the store `path`: an earlier one's until what replaces it has rows.

    `extract --overwrite` leaves two folders where it is at work, or was killed, before its first
    commit with rows.
    """
    previous = layout.previous_path(path)
    return previous if files.is_folder(previous) and not has_rows(path) else path


def has_rows(folder: Path) -> bool:
    """Whether `folder` itself holds a store with committed rows."""
    try:
        return bool(read_folder(folder).rows)
    except (StateError, CorruptionError):
        return False


def has_store(path: Path) -> bool:
    """Whether there is a store `path` with at least one commit."""
    return has_commit(standing(path))


def is_unborn(folder: Path) -> bool:
    """Whether `folder` is that of a store before its first commit: nothing can be lost with it."""
    unborn = files.temporary_path(layout.commit_path(folder))
    return files.is_folder(folder) and all(child == unborn for child in files.entries(folder))


def has_commit(folder: Path) -> bool:
    """Whether `folder` itself holds a store with at least one commit."""
    return files.is_file(layout.commit_path(folder))


def read_commit(path: Path) -> Commit:
    """Read the newest commit of the store `path`, wherever it stands now.

    Raises:
        StateError: there is no store, or a newer version of GhostTrack wrote it.
        CorruptionError: the file is not what was committed.
    """
    return read_folder(standing(path))


def read_folder(path: Path) -> Commit:
    """Read the newest commit in the folder `path` itself; raises as `read_commit`."""
    file = layout.commit_path(path)
    try:
        document, _ = files.open_sealed(file, limit=MAX_COMMIT_BYTES)
    except FileNotFoundError:
        raise StateError(f"no activation store: {path}", hint="ghosttrack extract") from None
    if document.get("schema") != SCHEMA:
        raise StateError(
            f"unsupported store version: {path} has schema {document.get('schema')}, "
            f"this version reads {SCHEMA}",
            hint="install the version that wrote it, or start over: ghosttrack extract --overwrite",
        )
    return Commit.from_json(document, where=file)


def write_commit(path: Path, commit: Commit) -> None:
    """Replace the commit atomically; the chunks that it names must be durable already."""
    files.write_bytes(layout.commit_path(path), files.seal(commit.to_json())[0])
