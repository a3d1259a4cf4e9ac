"""TruthfulQA (Lin et al. 2021): questions with a factual and a hallucinated answer."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.arguments import as_path
from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.text import separated
from ghosttrack_cli.text.formats import kind_of
from ghosttrack_cli.text.usable_texts import LeftOut, encodable, is_replaced, warn

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

    The split depends on the examples and `seed` only, not on their order. Questions without an
    answer and duplicates are skipped, with a warning that counts them.

    Args:
        path: a local CSV of the data set, with the columns of the hub or of the original file;
            default: the hub's `truthfulqa/truthful_qa`.
        cache_dir: where files from the hub are kept; default: the hub's cache.
        seed: of the split.
        encoding: of the file, if it is not Unicode.

    Returns:
        Three lists of examples: prompt, factual_answer, hallucinated_answer, category.

    Raises:
        UsageError: no path.
        CorpusError: the file cannot be read or lacks a column.
        HubError: the hub cannot be reached or refuses.

    Example:
        >>> train, validation, test = load_truthfulqa("TruthfulQA.csv")
        >>> train[0].prompt, train[0].factual_answer
    """
    examples, left_out = read_truthfulqa(path, cache_dir=cache_dir, encoding=encoding)
    warn(left_out.sentences())
    return split_examples(examples, seed)


def read_truthfulqa(
    path: Path | str | None = None,
    *,
    cache_dir: Path | str | None = None,
    encoding: str | None = None,
) -> tuple[list[TruthfulQAExample], LeftOut]:
    """The questions with both answers, each once, in their order; and what was left out."""
    cache = None if cache_dir is None else as_path(cache_dir, "cache_dir")
    records = _from_hub(cache) if path is None else _from_csv(as_path(path, "path"), encoding)
    found: dict[TruthfulQAExample, None] = {}
    left_out = LeftOut()
    for record in records:
        example = _example(record)
        damaged = any(is_replaced(text) for text in _read_texts(record))
        if not all((example.prompt, example.factual_answer, example.hallucinated_answer)):
            left_out = replace(left_out, unanswered=left_out.unanswered + 1)
        elif example in found:
            left_out = replace(left_out, duplicates=left_out.duplicates + 1)
        else:
            left_out = replace(left_out, replaced=left_out.replaced + damaged)
            found[example] = None
    return list(found), left_out


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


def _example(record: Mapping[str, Any]) -> TruthfulQAExample:
    prompt, factual, wrong, category = _read_texts(record)
    return TruthfulQAExample(*map(encodable, (prompt, factual, wrong, category)))


def _read_texts(record: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Question, best answer, first wrong answer and category; empty where there is none."""
    wrong = _answers(record["incorrect_answers"])
    question, best, category = (
        _text(record[name]) for name in ("question", "best_answer", "category")
    )
    return question, best, wrong[0] if wrong else "", category


def _text(value: object) -> str:
    return str(value or "").strip()


def _answers(value: str | Sequence[str] | None) -> list[str]:
    parts = value.split(";") if isinstance(value, str) else value or []
    return [text for part in parts if (text := _text(part))]


def _from_csv(path: Path, encoding: str | None) -> Iterator[dict[str, Any]]:
    try:
        delimiter, header = separated.header_of(path, encoding, "question")
        columns = {_column(name): place for place, name in enumerate(header)}
        _require(columns, str(path))
        for row in separated.records(path, encoding, delimiter, len(header)):
            filled = dict(enumerate(row))
            yield {name: filled.get(columns[name]) for name in COLUMNS}
    except (OSError, ValueError) as error:
        raise CorpusError(f"cannot read TruthfulQA: {path}: {error}") from error


def _column(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def is_truthfulqa(path: Path, encoding: str | None = None) -> bool:
    """Whether a local file of separated values has TruthfulQA's columns."""
    if kind_of(path) not in {".csv", ".tsv"}:
        return False
    try:
        _, header = separated.header_of(path, encoding, "question")
    except (OSError, ValueError, CorpusError):
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
