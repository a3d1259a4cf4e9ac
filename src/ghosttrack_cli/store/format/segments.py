"""Checksums of older chunks: immutable files, chained by their own checksums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.store.format import layout
from ghosttrack_cli.store.format.commit_parts import SEGMENT_CHUNKS, ArrayCommit, ResumePoint

if TYPE_CHECKING:
    from pathlib import Path

MAX_SEGMENT_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Segment:
    """64 chunks of one array; `origin`, with token ids only, is where its first row came from."""

    array: str
    index: int
    previous: str | None
    checksums: tuple[int, ...]
    origin: ResumePoint | None = None

    def to_json(self) -> dict[str, Any]:
        """The document of a segment file, without its checksum."""
        return {
            "array": self.array,
            "segment": self.index,
            "previous": self.previous,
            "checksums": [f"{checksum:08x}" for checksum in self.checksums],
            "origin": self.origin and self.origin.to_json(),
        }


def write_segment(store: Path, segment: Segment) -> str:
    """Write a segment durably and return its checksum; writing it again gives the same bytes."""
    path = layout.segment_path(store, segment.array, segment.index)
    data, checksum = files.seal(segment.to_json())
    files.make_folder(path.parent)
    files.write_bytes(path, data)
    return checksum


def read_segments(store: Path, array: str, commit: ArrayCommit) -> list[Segment]:
    """All segments of an array, oldest first, each checked against the one after it.

    Raises:
        CorruptionError: a segment is missing or not the one that was committed.
    """
    expected = commit.last_segment
    newest_first = []
    for index in reversed(range(commit.segments)):
        segment, checksum = _read_segment(store, array, index)
        if checksum != expected:
            path = layout.segment_path(store, array, index)
            raise CorruptionError(f"segment differs from the committed one: {path}")
        newest_first.append(segment)
        expected = segment.previous
    return newest_first[::-1]


def _read_segment(store: Path, array: str, index: int) -> tuple[Segment, str]:
    path = layout.segment_path(store, array, index)
    try:
        document, checksum = files.open_sealed(path, limit=MAX_SEGMENT_BYTES)
        checksums = tuple(int(text, 16) for text in document["checksums"])
        origin = document["origin"] and ResumePoint.from_json(document["origin"])
        segment = Segment(
            document["array"], document["segment"], document["previous"], checksums, origin
        )
    except FileNotFoundError:
        raise CorruptionError(f"missing: {path}") from None
    except (TypeError, KeyError, ValueError) as error:
        raise CorruptionError(f"not a valid segment: {path}: {error!r}") from error
    if (segment.array, segment.index, len(checksums)) != (array, index, SEGMENT_CHUNKS):
        raise CorruptionError(f"not a segment of {array}: {path}")
    return segment, checksum


def read_checksums(store: Path, array: str, commit: ArrayCommit) -> list[int]:
    """The committed crc32c of every chunk of an array, in order."""
    segments = read_segments(store, array, commit)
    return [crc for segment in segments for crc in segment.checksums] + list(commit.checksums)
