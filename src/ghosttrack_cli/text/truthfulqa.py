"""TruthfulQA (Lin et al. 2021): questions with a factual and a hallucinated answer."""

from __future__ import annotations

import csv
import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.arguments import as_path
from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.text.formats import kind_of
from ghosttrack_cli.text.kept import encodable
from ghosttrack_cli.text.opening import open_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

REPOSITORY = "truthfulqa/truthful_qa"
CONFIG = "generation"
SPLIT = "validation"
SHARES = (0.8, 0.1, 0.1)
"""Of train, validation and test."""

COLUMNS = ("question", "best_answer", "incorrect_answers", "category")


@dataclass(frozen=True, slots=True)
class TruthfulQAExample:
    """A question, its best answer, the first wrong answer that people give, and its subject."""

    prompt: str
    factual_answer: str
    hallucinated_answer: str
    category: str


Split = tuple[list[TruthfulQAExample], list[TruthfulQAExample], list[TruthfulQAExample]]


def load_truthfulqa(
    path: Path | str | None = None,
    *,
    cache_dir: Path | str | None = None,
    seed: int = 0,
    encoding: str | None = None,
) -> Split:
    """Train, validation and test (80, 10 and 10 %), each with its share of every category.

    `path` is a local CSV of the data set (column names of the hub or of the original file), and
    `encoding` its own if it is not Unicode; without a path, the hub's `truthfulqa/truthful_qa` is
    read. The split depends on the examples and `seed` only, not on their order.

    Raises:
        UsageError: no path.
        CorpusError: the file cannot be read or lacks a column.
        HubError: the hub cannot be reached or refuses.
    """
    cache = None if cache_dir is None else as_path(cache_dir, "cache_dir")
    records = _from_hub(cache) if path is None else _from_csv(as_path(path, "path"), encoding)
    return split_examples(_examples(records), seed)


def split_examples(examples: Iterable[TruthfulQAExample], seed: int) -> Split:
    """Shuffle each category by `seed` and deal it out by SHARES.

    What rounding leaves over in a category counts towards the next, so that the totals keep to
    the shares although many categories are small.
    """
    parts: Split = ([], [], [])
    categories: dict[str, list[TruthfulQAExample]] = {}
    for example in sorted(set(examples), key=_sort_key):
        categories.setdefault(example.category, []).append(example)
    for category in sorted(categories):
        members = categories[category]
        _generator(seed, category).shuffle(members)
        for example in members:
            _most_wanting(parts).append(example)
    for part in parts:
        _generator(seed, "").shuffle(part)
    return parts


def _most_wanting(parts: Split) -> list[TruthfulQAExample]:
    total = 1 + sum(len(part) for part in parts)
    wanting = [share * total - len(part) for share, part in zip(SHARES, parts, strict=True)]
    return parts[wanting.index(max(wanting))]


def _generator(seed: int, name: str) -> random.Random:
    digest = hashlib.sha256(f"{seed} {name}".encode("utf-8", "backslashreplace")).digest()
    return random.Random(int.from_bytes(digest[:8], "little"))


def _sort_key(example: TruthfulQAExample) -> tuple[str, ...]:
    return (
        example.category,
        example.prompt,
        example.factual_answer,
        example.hallucinated_answer,
    )


def _examples(records: Iterable[Mapping[str, Any]]) -> Iterator[TruthfulQAExample]:
    for record in records:
        wrong = _answers(record["incorrect_answers"])
        example = TruthfulQAExample(
            prompt=_text(record["question"]),
            factual_answer=_text(record["best_answer"]),
            hallucinated_answer=wrong[0] if wrong else "",
            category=_text(record["category"]),
        )
        if example.prompt and example.factual_answer and example.hallucinated_answer:
            yield example


def _text(value: object) -> str:
    return encodable(str(value or "")).strip()


def _answers(value: str | Sequence[str] | None) -> list[str]:
    parts = value.split(";") if isinstance(value, str) else value or []
    return [text for part in parts if (text := _text(part))]


def _from_csv(path: Path, encoding: str | None) -> Iterator[dict[str, Any]]:
    try:
        with open_text(path, encoding) as file:
            reader = csv.DictReader(file)
            columns = {_column(name): name for name in reader.fieldnames or ()}
            _require(columns, str(path))
            for record in reader:
                yield {name: record[columns[name]] for name in COLUMNS}
    except (OSError, ValueError, csv.Error) as error:
        raise CorpusError(f"cannot read TruthfulQA: {path}: {error}") from error


def _column(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def is_truthfulqa(path: Path, encoding: str | None = None) -> bool:
    """Whether a local file is a CSV with TruthfulQA's columns."""
    if kind_of(path) != ".csv":
        return False
    try:
        with open_text(path, encoding) as file:
            header = next(csv.reader(file), [])
    except (OSError, ValueError, CorpusError, csv.Error):
        return False
    return set(COLUMNS) <= {_column(name) for name in header}


def _require(columns: Iterable[str], where: str) -> None:
    missing = sorted(set(COLUMNS) - set(columns))
    if missing:
        raise CorpusError(
            f"not TruthfulQA: {where} has no column {', '.join(missing)}",
            hint="load_truthfulqa() reads the hub's, load_truthfulqa(PATH) the original CSV",
        )


def _from_hub(cache_dir: Path | None) -> Iterator[dict[str, Any]]:
    from ghosttrack_cli.text.hub import HubCorpus

    corpus = HubCorpus(REPOSITORY, config=CONFIG, split=SPLIT, cache_dir=cache_dir)
    with corpus.watch.errors():
        for number, record in enumerate(corpus.rows()):
            if not number:
                _require(record, REPOSITORY)
            yield record
