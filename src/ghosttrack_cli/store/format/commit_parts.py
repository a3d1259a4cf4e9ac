"""The parts of a commit: where the text stands, what an array has, the norms of a layer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.store.format.statistics import NormSums

if TYPE_CHECKING:
    from ghosttrack_cli.store.format.identity import JSON

SEGMENT_CHUNKS = 64
MAX_ROWS = 2**48


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
        return cls(document["cursor"], read_count(document["rows_before"]))


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
            read_count(document["rows"]),
            read_count(document["full_bytes"]),
            read_count(document["tail_bytes"]),
            read_count(document["segments"]),
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


def read_count(value: Any) -> int:
    """A whole number from a file, bounded; ValueError otherwise."""
    if type(value) is not int or not 0 <= value <= MAX_ROWS:
        raise ValueError(f"not a count: {value!r}")
    return value


def read_counts(value: Any) -> dict[str, int] | None:
    """Counts by name from a file, or None; TypeError or ValueError otherwise."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise TypeError(f"not counts: {value!r}")
    return {name: read_count(count) for name, count in value.items()}
