"""Text files opened as UTF-8, whatever they are encoded in and compressed with."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.text.encodings import detect_encoding, marked_encoding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _typeshed import WriteableBuffer

BLOCK = 2**16
COMPRESSED = (".gz", ".zst", ".zstd")
OTHER_KINDS = {
    b"\x1f\x8b": ("gzip", "give it a name that ends in .gz"),
    b"\x28\xb5\x2f\xfd": ("Zstandard", "give it a name that ends in .zst"),
    b"BZh": ("bzip2", "decompress it first: bunzip2"),
    b"\xfd7zXZ": ("xz", "decompress it first: unxz"),
    b"PK\x03\x04": ("a zip archive", "unpack it first: unzip"),
    b"%PDF-": ("PDF", "write its text to a file first: pdftotext"),
    b"PAR1": ("Parquet", "give it a name that ends in .parquet"),
}
ENCODING_HINT = (
    "name the encoding: --encoding cp1252 for Western European text, or latin-1, cp1251,"
    " shift_jis, gb18030, big5, euc_kr"
)


@contextmanager
def open_text(path: Path, encoding: str | None = None) -> Iterator[io.TextIOWrapper]:
    """A text file as characters, line ends as they are."""
    with open_utf8(path, encoding) as stream:
        yield io.TextIOWrapper(stream, "utf-8", newline="")


@contextmanager
def open_utf8(
    path: Path, encoding: str | None = None, start: int = 0
) -> Iterator[io.BufferedReader]:
    """The text of a file as UTF-8 without a byte order mark, from byte `start` of that on.

    `encoding` is that of files without a mark; None tells UTF-8, UTF-16 and UTF-32 apart. Whatever
    else there is in the file is refused, never replaced.

    Raises:
        CorpusError: not so encoded or cut off; names file and byte. Also while reading.
        OSError: the operating system refused.
    """
    with path.open("rb") as file, _decompressed(path, file) as raw:
        sample = raw.read(BLOCK)
        _refuse_other_kinds(path, sample)
        found = marked_encoding(sample) or encoding or detect_encoding(sample)
        place = 0
        if start and found == "utf-8" and not raw.compressed:
            place = start + len(codecs.BOM_UTF8) * sample.startswith(codecs.BOM_UTF8)
            file.seek(place)
            sample, start = b"", 0
        decoded = Decoded(raw, sample, found or "utf-8", place, asked=found == encoding)
        with io.BufferedReader(cast("Any", decoded), BLOCK) as stream:
            while start and (skipped := stream.read(min(start, BLOCK))):
                start -= len(skipped)
            yield stream


class Raw:
    """The bytes of a file, decompressed."""

    def __init__(self, path: Path, file: Any, *, compressed: bool) -> None:
        self.path = path
        self.compressed = compressed
        self._file = file

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        parts: list[bytes] = []
        while size and (part := self._part(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _part(self, size: int) -> bytes:
        if not self.compressed:
            return bytes(self._file.read(size))
        try:
            return bytes(self._file.read(size))
        except (EOFError, OSError, ValueError, zlib.error) as error:
            raise CorpusError(
                f"cannot be decompressed: {self.path}: {str(error)[:200]}",
                hint="the file is damaged or incomplete: download it again",
            ) from error


@contextmanager
def _decompressed(path: Path, file: io.BufferedReader) -> Iterator[Raw]:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield Raw(path, unpacked, compressed=True)
    elif suffix in COMPRESSED:
        import pyarrow as pa

        with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd") as stream:
            yield Raw(path, stream, compressed=True)
    else:
        yield Raw(path, file, compressed=False)


def _refuse_other_kinds(path: Path, sample: bytes) -> None:
    for beginning, (kind, hint) in OTHER_KINDS.items():
        if sample.startswith(beginning):
            raise CorpusError(f"not text but {kind}: {path}", hint=hint)


class Decoded(io.RawIOBase):
    """`sample` and what follows it in `raw`, decoded and encoded again as UTF-8.

    `place` is where in the text the sample begins; `asked` says that the user named the encoding.
    """

    def __init__(
        self, raw: Raw, sample: bytes, encoding: str, place: int, *, asked: bool = False
    ) -> None:
        self._raw = raw
        self._next = sample
        self._encoding = encoding
        self._asked = asked
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._place = place
        self._ready = memoryview(b"")
        self._begun = place > 0
        self._ended = False
        self._failure: CorpusError | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer` with UTF-8."""
        while not self._ready and not self._ended:
            self._ready = memoryview(self._decode(self._next or self._raw.read(BLOCK)))
        into = memoryview(buffer).cast("B")
        size = min(len(into), len(self._ready))
        into[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _decode(self, data: bytes) -> bytes:
        """The text of `data`; what comes before bytes that are none is given before the error."""
        if self._failure is not None:
            raise self._failure
        self._next, self._ended = b"", not data
        waiting = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(data, not data)
            encoded = self._unmarked(text).encode()
        except UnicodeDecodeError as error:
            self._failure = self._refused(self._place - waiting + error.start, error)
            self._ended = False
            self._decoder.reset()
            return self._unmarked(self._decoder.decode(error.object[: error.start])).encode()
        except UnicodeError as error:  # codecs that are no encodings of files, such as idna
            raise self._refused(self._place, error) from error
        self._place += len(data)
        return encoded

    def _unmarked(self, text: str) -> str:
        begun, self._begun = self._begun, self._begun or bool(text)
        return text if begun else text.removeprefix("\ufeff")

    def _refused(self, place: int, error: UnicodeError) -> CorpusError:
        name = self._encoding.upper().replace("-LE", "").replace("-BE", "")
        tried = f"not {name}" if self._asked or name != "UTF-8" else "not UTF-8, UTF-16 or UTF-32"
        where = f"byte {place:,}" + (" of its decompressed text" if self._raw.compressed else "")
        reason = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
        hint = "use another --encoding, or leave it out" if self._asked else ENCODING_HINT
        return CorpusError(f"{tried}: {self._raw.path}, {where}: {reason}", hint=hint)
