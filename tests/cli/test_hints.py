"""Every command and every flag that the program suggests exists where it is suggested."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

import ghosttrack_cli
from ghosttrack_cli.cli.app import app
from ghosttrack_cli.cli.hints import of_stage
from ghosttrack_cli.cli.options import COMMON, Options
from ghosttrack_cli.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Ended

SOURCE = Path(ghosttrack_cli.__file__).parent
COMMAND = re.compile(r"ghosttrack ((?:[a-z]+\b ?)+)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
ENDS = re.compile(r"[`;:,()]|$")
SHOWN_IN = {
    "extraction": ("extract",),
    "store": ("extract",),
    "model": ("extract", "interpret"),
    "text": ("extract", "interpret"),
    "training": ("train",),
    "interpretation": ("interpret",),
}
ROOT: Any = typer.main.get_command(app)


def resolved(words: list[str]) -> tuple[Any, str]:
    """The command that `words` begin with, and its name."""
    found = ROOT
    names: list[str] = []
    for word in words:
        inner = getattr(found, "commands", {}).get(word)
        if inner is None:
            break
        found, names = inner, [*names, word]
    return found, " ".join(names)


def flags(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def commands() -> Iterator[tuple[str, Any]]:
    waiting: list[tuple[tuple[str, ...], Any]] = [((), ROOT)]
    while waiting:
        path, one = waiting.pop()
        yield " ".join(path), one
        waiting += [((*path, name), inner) for name, inner in getattr(one, "commands", {}).items()]


def written(node: ast.AST) -> str:
    """A string of the source; what an f-string puts in stands as 1."""
    if isinstance(node, ast.JoinedStr):
        return "".join(written(one) for one in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "1"


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module that are not docstrings, with their lines."""
    tree = ast.parse(path.read_text())
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            skipped.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            skipped.update(id(one) for one in node.values)
        if (
            isinstance(node, ast.JoinedStr)
            or (isinstance(node, ast.Constant) and isinstance(node.value, str))
        ) and id(node) not in skipped:
            yield node.lineno, written(node)


def suggestions() -> Iterator[tuple[str, str, str]]:
    """Where in the source a command or a flag is suggested, the folder's name, and the words."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE)
        for line, text in strings(path):
            if "ghosttrack " in text or FLAG.search(text):
                yield f"{name}:{line}", name.parts[0], text


FOUND = list(suggestions())


def command_parts(text: str) -> Iterator[str]:
    """Each `ghosttrack ...` in a sentence, up to where the sentence goes on."""
    for match in re.finditer(r"(?<![\w./-])ghosttrack (?=[a-z])", text):
        rest = text[match.end() :]
        end = ENDS.search(rest)
        assert end is not None
        yield rest[: end.start()].strip()


def test_there_is_something_to_look_at() -> None:
    assert len(FOUND) > 100
    assert sum(1 for *_, text in FOUND for _ in command_parts(text)) > 25


@pytest.mark.parametrize(
    ("where", "part"),
    [(where, part) for where, _, text in FOUND for part in command_parts(text)],
)
def test_every_suggested_command_exists_with_its_flags(where: str, part: str) -> None:
    command, name = resolved(part.split())
    assert name, f"{where}: no command in {part!r}"
    known = flags(command) | set(COMMON) | {"--help"}
    assert set(FLAG.findall(part)) <= known, f"{where}: {part}"


@pytest.mark.parametrize(("where", "folder", "text"), FOUND)
def test_every_flag_exists_in_the_command_that_shows_it(where: str, folder: str, text: str) -> None:
    known = set().union(*(flags(one) for _, one in commands())) | {"--help", "--version"}
    if folder in SHOWN_IN and "ghosttrack " not in text:
        known = set().union(*(flags(resolved([one])[0]) for one in SHOWN_IN[folder]))
    for flag in FLAG.findall(text):  # part of its name may be put in, which is a 1 here
        pattern = re.escape(flag).replace("1", "[a-z]+")
        assert any(re.fullmatch(pattern, one) for one in known), f"{where}: {text}"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("train", "ghosttrack extract"),
        ("status --verify", "ghosttrack extract"),
        ("interpret --feature 3", "ghosttrack interpret"),
        ("interpret list", "ghosttrack interpret"),
        ("export", "ghosttrack train"),
    ],
)
def test_a_suggested_command_is_for_the_same_workspace_and_settings(
    line: str, hint: str, ghosttrack: Callable[..., Ended]
) -> None:
    Path("own.toml").write_text("")
    given = ("--workspace", "my data", "--config", "own.toml")
    ended = ghosttrack(*line.split(), *given)
    words = shlex.split(ended.error[1])
    assert " ".join(words[:2]) == hint
    assert {*zip(words[2::2], words[3::2], strict=True)} == {given[:2], given[2:]}


@pytest.mark.parametrize(
    ("hint", "same"),
    [
        (
            "ghosttrack extract --layers 0,2, then ghosttrack train --layers 0,2 --overwrite",
            (
                "ghosttrack extract --layers 0,2 --workspace 'my data', then"
                " ghosttrack train --layers 0,2 --overwrite --workspace 'my data'"
            ),
        ),
        (
            "ghosttrack train --layers 0,2 --overwrite trains it anew",
            "ghosttrack train --layers 0,2 --overwrite --workspace 'my data' trains it anew",
        ),
        (
            "ghosttrack extract --model 'a b': or wait",
            "ghosttrack extract --model 'a b' --workspace 'my data': or wait",
        ),
        ("--layers takes 6 or all", "--layers takes 6 or all"),
    ],
)
def test_the_workspace_goes_behind_the_whole_command(hint: str, same: str) -> None:
    assert Session("train", Options(workspace="my data")).here(hint) == same


@pytest.mark.parametrize(
    ("hint", "stage", "command", "shown"),
    [
        (
            "--max-tokens 9 or more",
            "interpret",
            "run",
            "ghosttrack interpret --texts 'my texts' --max-tokens 9 or more",
        ),
        (
            "leave it out, or use --overwrite to start over",
            "train",
            "demo",
            "leave it out, or use ghosttrack train --texts 'my texts' --overwrite to start over",
        ),
        (
            "use a smaller --batch-size, or fewer --tokens",
            "extract",
            "run",
            (
                "use a smaller --batch-size, or fewer --tokens; --batch-size is an option of"
                " ghosttrack extract --texts 'my texts'"
            ),
        ),
        (
            "use fewer --tokens or --layers, or --store-dtype bfloat16",
            "extract",
            "demo",
            (
                "use fewer --tokens or --layers, or ghosttrack extract --texts 'my texts'"
                " --store-dtype bfloat16; --layers is an option of ghosttrack extract --texts"
                " 'my texts'"
            ),
        ),
        ("--max-tokens 9 or more", "interpret", "interpret", "--max-tokens 9 or more"),
        (
            "ghosttrack train --layers 2 --overwrite",
            "train",
            "run",
            "ghosttrack train --layers 2 --overwrite",
        ),
        ("use another --workspace", "train", "demo", "use another --workspace"),
    ],
)
def test_a_hint_of_a_stage_is_for_the_command_that_shows_it(
    hint: str, stage: str, command: str, shown: str
) -> None:
    assert of_stage(hint, stage, command, {"--texts": "'my texts'"}) == shown
