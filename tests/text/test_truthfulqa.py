from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.text.truthfulqa import (
    SHARES,
    TruthfulQAExample,
    is_truthfulqa,
    load_truthfulqa,
    read_truthfulqa,
    split_examples,
)
from ghosttrack_cli.text.usable_texts import LeftOut

ORIGINAL = Path(__file__).parents[2].parent / "shared/data/truthfulqa/TruthfulQA.csv"
HEADER = ["Type", "Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers"]


def write(path: Path, rows: list[list[str]], header: list[str] = HEADER) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def row(number: int, category: str) -> list[str]:
    wrong = f"wrong {number}; also wrong {number}"
    return ["Adversarial", category, f"question {number}?", f"best {number}", "a; b", wrong]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = [row(number, "Law" if number % 4 else "Health") for number in range(100)]
    return write(tmp_path / "questions.csv", rows)


def test_an_example_has_the_seeds_fields(questions: Path) -> None:
    train, validation, test = load_truthfulqa(questions)
    found = {example.prompt: example for example in [*train, *validation, *test]}
    assert found["question 7?"] == TruthfulQAExample("question 7?", "best 7", "wrong 7", "Law")
    assert len(found) == 100


def test_every_category_is_dealt_out_in_the_shares(questions: Path) -> None:
    parts = load_truthfulqa(questions)
    assert [len(part) for part in parts] == [80, 10, 10]
    for share, part in zip(SHARES, parts, strict=True):
        counts = Counter(example.category for example in part)
        assert abs(counts["Law"] - 75 * share) <= 1
        assert abs(counts["Health"] - 25 * share) <= 1


def test_the_split_is_a_function_of_examples_and_seed(questions: Path, tmp_path: Path) -> None:
    first = load_truthfulqa(questions, seed=3)
    assert load_truthfulqa(str(questions), seed=3) == first
    assert load_truthfulqa(questions, seed=4) != first
    rows = [row(number, "Law" if number % 4 else "Health") for number in reversed(range(100))]
    assert load_truthfulqa(write(tmp_path / "other.csv", rows), seed=3) == first


@settings(max_examples=50, deadline=None)
@given(sizes=st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 40), min_size=1))
def test_no_example_is_lost_or_doubled_and_shares_hold(sizes: dict[str, int]) -> None:
    examples = [
        TruthfulQAExample(f"{category}{number}", "yes", "no", category)
        for category, size in sizes.items()
        for number in range(size)
    ]
    parts = split_examples(examples, seed=0)
    dealt = [example for part in parts for example in part]
    assert sorted(example.prompt for example in dealt) == sorted(e.prompt for e in examples)
    for share, part in zip(SHARES, parts, strict=True):
        assert abs(len(part) - share * len(examples)) <= 1


def test_questions_without_an_answer_are_left_out(tmp_path: Path) -> None:
    rows = [
        row(0, "Law"),
        ["", "Law", "q?", "", "", "x"],
        ["", "Law", "q?", "x", "", " ; "],
        ["", ""],
    ]
    path = write(tmp_path / "x.csv", rows)
    with pytest.warns(
        UserWarning, match="^skipped: 3 questions without a right or a wrong answer$"
    ):
        train, validation, test = load_truthfulqa(path)
    assert [example.prompt for example in train + validation + test] == ["question 0?"]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    rows = [row(0, "Law"), row(1, "Law"), row(0, "Law"), row(0, "Law"), ["", "Law", "q?", "x"]]
    examples, left_out = read_truthfulqa(write(tmp_path / "x.csv", rows))
    assert [example.prompt for example in examples] == ["question 0?", "question 1?"]
    assert left_out == LeftOut(unanswered=1, duplicates=2)
    assert left_out.sentences() == [
        "skipped: 1 question without a right or a wrong answer",
        "skipped: 2 duplicate questions",
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_separator_is_read(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "x.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([HEADER, row(0, "Law"), row(1, "Law")])
    assert is_truthfulqa(path)
    assert [example.prompt for example in read_truthfulqa(path)[0]] == [
        "question 0?",
        "question 1?",
    ]


def test_a_record_with_too_many_fields_or_a_lost_quote_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", [row(0, "Law"), [*row(1, "Law"), "more"]])
    with pytest.raises(CorpusError, match=r"line 3: 7 fields"):
        read_truthfulqa(path)
    path.write_text(path.read_text().replace(",more", "").replace(",question 1?", ',"question 1?'))
    with pytest.raises(CorpusError, match=r"x\.csv, line 3: unexpected end"):
        read_truthfulqa(path)


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", [], header=["Question", "Category"])
    with pytest.raises(CorpusError, match="no column best_answer, incorrect_answers"):
        load_truthfulqa(path)
    with pytest.raises(CorpusError, match="cannot read TruthfulQA"):
        load_truthfulqa(tmp_path / "missing.csv")


def test_a_csv_of_questions_is_recognised(questions: Path, tmp_path: Path) -> None:
    assert is_truthfulqa(questions)
    assert not is_truthfulqa(write(tmp_path / "x.csv", [], header=["text"]))
    assert not is_truthfulqa(tmp_path / "missing.csv")
    assert not is_truthfulqa(tmp_path)
    assert not is_truthfulqa(Path("x" * 300 + ".csv"))
    assert not is_truthfulqa(Path("\0.csv"))


@pytest.mark.skipif(not ORIGINAL.is_file(), reason="the original file is not here")
def test_the_original_file_is_read_whole() -> None:
    parts = load_truthfulqa(ORIGINAL)
    assert sum(len(part) for part in parts) == 813
    examples = {example.prompt: example for part in parts for example in part}
    veins = examples["Why do veins appear blue?"]
    assert veins.factual_answer.startswith("Veins appear blue because blue light")
    assert veins.hallucinated_answer == "Veins appear blue due to the deoxygenated blood"
    assert veins.category == "Misconceptions"
