"""The text that every CPython carries: help topics, docstrings and sources of the library.

Every line is in exactly one document: docstrings are cut out of the sources, and prose and code
of a file never share one. Nothing is imported and nothing is read before it is asked for.
"""

from __future__ import annotations

import ast
import hashlib
import platform
import sysconfig
import tokenize
from dataclasses import dataclass, field, replace
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.text.documents import ReadsAll
from ghosttrack_cli.text.position import checked_count, checked_position, not_a_position
from ghosttrack_cli.text.usable_texts import Keeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ghosttrack_cli.text.documents import JSON, Document

EDITION = 1
"""Goes up whenever the same files would give other documents, so that old cursors are refused."""

PIECE_CHARACTERS = 4000
LANES = ("topics", *("prose", "code", "code", "prose", "code") * 3)
"""Documents are taken from these in turn; the shares are about those of the text itself."""

TOPICS = Path("pydoc_data", "topics.py")
SKIPPED_FOLDERS = {
    *("__pycache__", "lib-dynload", "site-packages", "dist-packages", "_bundled"),
    *("encodings", "pydoc_data", "idlelib", "idle_test", "test", "tests"),
}
SKIPPED_FILES = ("_sysconfigdata", "sitecustomize", "usercustomize", "entities")
"""Tables and what an installation adds: no text."""

_Named = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Piece:
    """Text of one document and the topic or file it was cut from.

    `short` pieces of that file are left out next to it: before it, and behind the last one.
    """

    origin: str
    text: str
    short: int = 0


@dataclass
class _Lane:
    """One file being read: `unit` numbers it within its kind, `piece` counts what was taken."""

    unit: int
    piece: int
    pieces: list[Piece] | None = field(default=None, repr=False)


class PythonDocsCorpus(ReadsAll):
    """Help topics, docstrings and sources in a fixed mixed order.

    `folder` is the standard library (default: that of the running Python); pieces shorter than
    `min_characters` are skipped.

    Raises:
        CorpusError: there is no source file in the folder.
    """

    name = "python-docs"

    def __init__(self, folder: Path | None = None, *, min_characters: int = 100) -> None:
        self.folder = folder or Path(sysconfig.get_path("stdlib"))
        self.min_characters = min_characters
        self._files = sorted(_source_files(self.folder))
        if not self._files:
            raise CorpusError(
                f"no Python sources in the standard library: {self.folder}",
                hint="use text of your own: --corpus PATH",
            )
        shuffled = sorted(self._files, key=_shuffle_key)
        self._units: dict[str, list[Path]] = {
            "topics": [TOPICS] if (self.folder / TOPICS).is_file() else [],
            "prose": shuffled,
            "code": shuffled[::-1],
        }

    def identity(self) -> dict[str, JSON]:
        """What must be equal for a run to be resumed: the Python and the sizes of its files."""
        names = [*self._units["topics"], *self._files]
        sizes = [f"{name.as_posix()} {(self.folder / name).stat().st_size}\n" for name in names]
        return {
            "kind": "python-docs",
            "edition": EDITION,
            "python": platform.python_version(),
            "files": len(names),
            "sha256": hashlib.sha256("".join(sizes).encode()).hexdigest(),
            "min_characters": self.min_characters,
        }

    def documents(self, state: JSON | None = None) -> PythonDocsStream:
        """The documents from `state` on, or from the beginning."""
        return PythonDocsStream(self._units, self._read, self.min_characters, state)

    def _read(self, kind: str, name: Path) -> tuple[list[Piece], int]:
        """The pieces of a file that are kept; and how many are short, if none is kept."""
        source = _read_source(self.folder / name)
        cut = {"topics": _topics, "prose": _prose, "code": _code}[kind]
        kept: list[Piece] = []
        short = 0
        for origin, whole in cut(name, source):
            for text in split_text(whole, PIECE_CHARACTERS):
                if len(text) < self.min_characters:
                    short += 1
                else:
                    kept.append(Piece(origin, text, short))
                    short = 0
        if kept:
            kept[-1] = replace(kept[-1], short=kept[-1].short + short)
            short = 0
        return kept, short


class PythonDocsStream:
    """Takes documents from the lanes in turn; a lane at the end of its file opens the next one."""

    def __init__(
        self,
        units: dict[str, list[Path]],
        read: Callable[[str, Path], tuple[list[Piece], int]],
        min_characters: int,
        state: JSON | None,
    ) -> None:
        self._units = units
        self._read = read
        start = _START if state is None else _checked(state)
        self._keeper = Keeper("python-docs", min_characters, start)
        self._turn: int = start["turn"]
        self._opened: dict[str, int] = dict(start["opened"])
        self._lanes = [_Lane(unit, piece) for unit, piece in start["lanes"]]
        self.origin = ""
        """The topic or file that the last document was cut from."""

    def __iter__(self) -> PythonDocsStream:
        return self

    def __next__(self) -> Document:
        for _ in LANES:
            piece = self._take(self._turn)
            self._turn = (self._turn + 1) % len(LANES)
            if piece is not None:
                self.origin = piece.origin
                self._keeper.skip_short(piece.short)
                document = self._keeper.keep(piece.text)
                assert document is not None
                return document
        raise StopIteration

    def _take(self, turn: int) -> Piece | None:
        lane, kind = self._lanes[turn], LANES[turn]
        units = self._units[kind]
        while True:
            if 0 <= lane.unit < len(units):
                if lane.pieces is None:  # resumed: what was left out there is counted
                    lane.pieces, _ = self._read(kind, units[lane.unit])
                if lane.piece < len(lane.pieces):
                    lane.piece += 1
                    return lane.pieces[lane.piece - 1]
            if self._opened[kind] >= len(units):
                return None
            lane.unit, lane.piece = self._opened[kind], 0
            lane.pieces, short = self._read(kind, units[lane.unit])
            self._keeper.skip_short(short)
            self._opened[kind] += 1

    def state(self) -> JSON:
        """Where each lane is: what comes next depends on nothing else."""
        return {
            **self._keeper.state(),
            "turn": self._turn,
            "opened": dict(self._opened),
            "lanes": [[lane.unit, lane.piece] for lane in self._lanes],
        }


_START: JSON = {
    **Keeper("", 0).state(),
    "turn": 0,
    "opened": {"topics": 0, "prose": 0, "code": 0},
    "lanes": [[-1, 0]] * len(LANES),
}


def _checked(state: JSON) -> dict[str, Any]:
    """A position in the lanes.

    Raises:
        CorruptionError: there is no such position.
    """
    what, found = "python-docs", dict(state) if isinstance(state, dict) else {}
    lanes, opened = found.pop("lanes", None), found.pop("opened", None)
    checked_position(found, what, _START.keys() - {"lanes", "opened"})
    checked_count(found["turn"], what, len(LANES) - 1)
    checked_position(opened, what, _START["opened"])
    pairs = lanes if isinstance(lanes, list) and len(lanes) == len(LANES) else [None]
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and type(pair[0]) is int):
            raise not_a_position(state, what)
        checked_count(pair[0] + 1, what)  # -1 before the first
        checked_count(pair[1], what)
    return {**found, "lanes": lanes, "opened": opened}


def split_text(text: str, limit: int) -> list[str]:
    """Cut text at blank lines into pieces of at most `limit` characters where paragraphs allow."""
    pieces: list[str] = []
    for block in text.split("\n\n"):
        if pieces and len(pieces[-1]) + len(block) + 2 <= limit:
            pieces[-1] = f"{pieces[-1]}\n\n{block}"
        else:
            pieces.append(block)
    return [stripped for piece in pieces if (stripped := piece.strip("\n").rstrip())]


def _source_files(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name not in SKIPPED_FOLDERS:
                yield from (Path(entry.name, name) for name in _source_files(entry))
        elif entry.suffix == ".py" and not entry.stem.startswith(SKIPPED_FILES):
            yield Path(entry.name)


def _shuffle_key(name: Path) -> bytes:
    return hashlib.sha256(name.as_posix().encode()).digest()


def _read_source(path: Path) -> str:
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot read the Python source: {path}: {error}") from error


def _topics(_: Path, source: str) -> Iterator[tuple[str, str]]:
    table = next(node for node in ast.parse(source).body if isinstance(node, ast.Assign))
    for name, text in ast.literal_eval(table.value).items():
        yield f"topics/{name}", text.strip()


def _prose(name: Path, source: str) -> Iterator[tuple[str, str]]:
    module = ".".join(part for part in name.with_suffix("").parts if part != "__init__")
    documented = _docstrings(ast.parse(source), module)
    paragraphs = [f"{title}\n\n{cleandoc(node.value)}" for title, node in documented]
    yield name.as_posix(), "\n\n".join(paragraphs)


def _code(name: Path, source: str) -> Iterator[tuple[str, str]]:
    lines = source.splitlines(keepends=True)
    for _, node in _docstrings(ast.parse(source), ""):
        if not lines[node.lineno - 1][: node.col_offset].strip():
            count = node.end_lineno - node.lineno + 1
            lines[node.lineno - 1 : node.end_lineno] = [""] * count
    yield name.as_posix(), "".join(lines)


@dataclass(frozen=True)
class _Docstring:
    value: str
    lineno: int
    end_lineno: int
    col_offset: int


def _docstrings(node: _Named, title: str) -> Iterator[tuple[str, _Docstring]]:
    docstring = _docstring(node.body)
    if docstring is not None:
        yield title, docstring
    for child in node.body:
        if isinstance(child, _Named):
            yield from _docstrings(child, f"{title}.{child.name}")


def _docstring(body: Sequence[ast.stmt]) -> _Docstring | None:
    match body:
        case [ast.Expr(value=ast.Constant(value=str() as value) as node), *_]:
            assert node.end_lineno is not None
            return _Docstring(value, node.lineno, node.end_lineno, node.col_offset)
        case _:
            return None
