"""The text files of a folder, each once, and what in it is none."""

from __future__ import annotations

import heapq
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.quantities import counted
from ghosttrack_cli.text.formats import kind_of, supported

KINDS_NAMED = 5
NOT_PLAIN = {".json", ".pdf", ".zip", ".docx", ".epub", ".html", ".bz2", ".xz", ".arrow", ".gz"}
FILE_COUNTS = ("files_in_other_formats", "hidden_files", "duplicate_links", "broken_links")


@dataclass
class Found:
    """Text files under `root`, by relative name; and what was skipped: other kinds by ending."""

    root: Path
    names: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    twice: int = 0
    broken: int = 0

    def counts(self) -> dict[str, int]:
        """How many files were left out, by reason."""
        found = (self.others.total(), self.hidden, self.twice, self.broken)
        return {name: n for name, n in zip(FILE_COUNTS, found, strict=True) if n}

    def sentences(self) -> list[str]:
        """What was left out, for a person."""
        kinds = [ending or "no ending" for ending, _ in self.others.most_common(KINDS_NAMED)]
        more = ", ..." if len(self.others) > KINDS_NAMED else ""
        told = {
            f"skipped: {counted(self.others.total(), 'file')} in other formats"
            f" ({', '.join(kinds)}{more})": self.others.total(),
            f"skipped: {counted(self.hidden, 'hidden file')} (names that start with a dot)": (
                self.hidden
            ),
            f"skipped: {counted(self.twice, 'duplicate link')}": self.twice,
            f"skipped: {counted(self.broken, 'broken link')}": self.broken,
        }
        return [sentence for sentence, count in told.items() if count]


def find_texts(path: Path, flag: str) -> Found:
    """The text files at `path`, one or a folder; linked files and folders are followed.

    Names come in the order of their bytes. A file is read once, under the name that leads to it
    without a link if there is one; a folder that links lead back to is not entered again.

    Raises:
        CorpusError: no text file there; `flag` is the one that named the path.
    """
    try:
        found = _walked(path) if path.is_dir() else _single(path)
    except (OSError, ValueError) as error:
        raise CorpusError(f"cannot read the text: {path}: {error}") from error
    if not found.names:
        seen = "; ".join(found.sentences())
        raise CorpusError(
            f"no readable text file: {path}" + (f": {seen}" if seen else ""),
            hint=_hint(found, flag),
        )
    found.names.sort(key=os.fsencode)
    return found


def _hint(found: Found, flag: str) -> str:
    if {".json"} == {*found.others}:
        return "convert it to one JSON object per line: jq -c '.[]' x.json > x.jsonl"
    renamed = ""
    if found.others and not set(found.others) & NOT_PLAIN:
        renamed = "; plain text needs a name that ends in .txt"
    return f"{flag} takes {supported()}{renamed}"


def _single(path: Path) -> Found:
    found = Found(path.parent)
    if path.is_file() and kind_of(path) is not None:
        found.names.append(Path(path.name))
    elif path.exists():
        found.others[path.suffix.lower()] += 1
    return found


def _walked(path: Path) -> Found:
    """What does not depend on links first, then link after link in the order of their names."""
    found = Found(path)
    read: set[Path] = set()
    links: list[tuple[bytes, Path]] = []
    _enter(path, path.resolve(), found, read, links)
    while links:
        _, link = heapq.heappop(links)
        target = link.resolve()
        if not link.exists():
            found.broken += 1
        elif target in read:
            found.twice += 1
        elif link.is_dir():
            _enter(link, target, found, read, links)
        else:
            _take(link, target, found, read)
    return found


def _enter(
    folder: Path, real: Path, found: Found, read: set[Path], links: list[tuple[bytes, Path]]
) -> None:
    """Take in a folder, whose own place is `real`, and note the links in it."""
    waiting = [(folder, real)]
    while waiting:
        folder, real = waiting.pop()
        read.add(real)
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda one: os.fsencode(one.name)):
                path, target = folder / entry.name, real / entry.name
                if entry.name.startswith("."):
                    found.hidden += 1
                elif entry.is_symlink():
                    heapq.heappush(links, (os.fsencode(path), path))
                elif target in read:
                    found.twice += 1
                elif entry.is_dir():
                    waiting.append((path, target))
                else:
                    _take(path, target, found, read)


def _take(path: Path, target: Path, found: Found, read: set[Path]) -> None:
    if kind_of(path) is not None and path.is_file():
        found.names.append(path.relative_to(found.root))
        read.add(target)
    else:
        found.others[path.suffix.lower()] += 1
