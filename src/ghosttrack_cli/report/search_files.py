"""What a search looks into: files of a report that the terminal and the page both read.

    search/tokens.js      `strings`, and for each feature, as numbers of strings, the tokens that
                          it `fires` on (with `strengths`), `promotes` and `suppresses`; how many
                          `files` there are of the others
    search/words-000.js   from feature `first` on the texts of its `top` and `other` examples as
                          a search compares them, a line each: about WORDS_CHARACTERS of them

They are scripts because a page that is opened from a file can read nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.report.script import script, script_payload
from ghosttrack_cli.report.search import caseless, strength

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ghosttrack_cli.report.feature_schema import FeatureReport
    from ghosttrack_cli.report.report_files import NewReport, WholeReport
    from ghosttrack_cli.site import AnySite

TOKENS = "search/tokens"
WORDS_CHARACTERS = 4_000_000
KINDS = ("fires", "promotes", "suppresses")
PLACES = ("top", "other")


class SearchFiles:
    """Writes the search files of a report while its features go by, in their order."""

    def __init__(self, report: NewReport, layer: AnySite, source: str) -> None:
        self._report = report
        self._name = f"layer_{layer}/{source}"
        self._strings: dict[str, int] = {}
        self._tokens: dict[str, list[Any]] = {name: [] for name in (*KINDS, "strengths")}
        self._first = self._files = self._characters = 0
        self._words: dict[str, list[str]] = {name: [] for name in PLACES}

    def add(self, feature: FeatureReport) -> None:
        """Note one feature."""
        self._add_tokens(feature)
        top, texts = set(feature.top), {name: list[str]() for name in PLACES}
        for place, example in enumerate(feature.examples):
            texts["top" if place in top else "other"].append(caseless("".join(example.texts)))
        for name, found in texts.items():
            text = "\n".join(dict.fromkeys(found))
            self._words[name].append(text)
            self._characters += len(text)
        if self._characters >= WORDS_CHARACTERS:
            self._write_words()

    def _add_tokens(self, feature: FeatureReport) -> None:
        texts = {
            "fires": [token.text for token in feature.tokens],
            "promotes": [entry.text for entry in feature.promoted],
            "suppresses": [entry.text for entry in feature.suppressed],
        }
        strings = self._strings
        for name, found in texts.items():
            self._tokens[name].append([strings.setdefault(one, len(strings)) for one in found])
        strengths = [float(f"{strength(token):.6g}") for token in feature.tokens]
        self._tokens["strengths"].append(strengths)

    def _write_words(self) -> None:
        self._write(f"search/words-{self._files:03d}", {"first": self._first, **self._words})
        self._first += len(self._words["top"])
        self._files += 1
        self._characters = 0
        self._words = {name: [] for name in PLACES}

    def finish(self) -> None:
        """Write what is left, and the tokens of all features."""
        if self._words["top"]:
            self._write_words()
        self._write(TOKENS, {"files": self._files, "strings": list(self._strings), **self._tokens})

    def _write(self, name: str, payload: dict[str, Any]) -> None:
        self._report.write(f"{name}.js", script(f"{self._name}/{name}", payload))


def read_tokens(report: WholeReport) -> dict[str, Any]:
    """The tokens of all features.

    Raises:
        CorruptionError: damaged, or not what the format says.
    """
    return _read(report, TOKENS, ("files", "strings", "strengths", *KINDS))


def read_words(report: WholeReport, count: int) -> Iterator[dict[str, Any]]:
    """The texts of all features' examples, one of the `count` files in memory at a time.

    Raises:
        CorruptionError: damaged, or not what the format says.
    """
    for number in range(count):
        yield _read(report, f"search/words-{number:03d}", ("first", *PLACES))


def _read(report: WholeReport, name: str, columns: tuple[str, ...]) -> dict[str, Any]:
    path = report.folder / f"{name}.js"
    data = script_payload(report.data(f"{name}.js"))
    # The bytes are those that were written, and there may be a hundred megabytes of them.
    found = files.parse_json(data, path, foreign=True)
    if not found.keys() >= set(columns):
        raise CorruptionError(f"not a search file of this version: {path}")
    return found
