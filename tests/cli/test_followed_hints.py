"""Every hint that names a command or an option is provoked, followed as printed, and helps."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
from contextlib import ExitStack
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.hint_rows import NOT_FOLLOWED, ROWS, Row, Scene

import ghosttrack_cli
from ghosttrack_cli.cli.app import run_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Ended
    from tests.hub.server import Hub

SOURCE = Path(ghosttrack_cli.__file__).parent
ACTS = re.compile(r"(?<![\w-])--[a-z]|\bghosttrack [a-z]|GHOSTTRACK_")
VARIABLE = re.compile(r"([A-Z_]+)=(\S*)")
VAGUE = re.compile(
    r"\b[A-Z]{1,6}\b|another|smaller|larger|shorter|fewer|takes|or more|name a"
    r" folder|with its folder"
)
SMALL = """\
[extraction]
context_length = 32
batch_size = 4
[sae]
d_hidden = 32
target_l0 = 6
[sae_training]
epochs = 1
batch_size = 128
evaluations = 2
val_fraction = 0.2
"""
STAGES = {"stored": ("extract",), "trained": ("extract", "train")}
STAGES["read"] = (*STAGES["trained"], "interpret")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small are slower on two threads."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def bases(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The text, and a workspace after each of the stages."""
    root = tmp_path_factory.mktemp("bases")
    texts = root / "texts.jsonl"
    records = ({"text": f"Document {n} tells of number {n * 7919}. " * 6} for n in range(40))
    texts.write_text("".join(json.dumps(one) + "\n" for one in records))
    config = root / "ghosttrack.toml"
    config.write_text(SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        source = ["--model", str(tiny_model), "--corpus", str(texts)]
        more = {"extract": [*source, "--layers", "0,2", "--tokens", "2k"]}
        for name, stages in STAGES.items():
            assert run_program([stages[-1], *more.get(stages[-1], []), "--quiet"]) == 0
            shutil.copytree("ghosttrack-data", name)
    return {"texts": texts, "config": config, **{name: root / name for name in STAGES}}


@pytest.fixture
def scene(
    bases: dict[str, Path], tiny_model: Path, monkeypatch: pytest.MonkeyPatch, hub_here: Hub
) -> Iterator[Scene]:
    with ExitStack() as held:
        yield Scene(monkeypatch, tiny_model, bases["texts"], held, hub_here)


def words(scene: Scene, line: str) -> list[str]:
    return shlex.split(line.format(model=scene.model, texts=scene.texts))


def without(arguments: list[str], option: str) -> list[str]:
    """A command line less an option and its value."""
    place = arguments.index(option)
    has_value = place + 1 < len(arguments) and not arguments[place + 1].startswith("--")
    return arguments[:place] + arguments[place + 1 + has_value :]


def followed(scene: Scene, line: str, step: str) -> list[str]:
    """The command line of somebody who does one step of a hint after `line`."""
    if step.startswith("ghosttrack "):
        arguments = words(scene, step)[1:]
    elif variable := VARIABLE.fullmatch(step):
        scene.patch.setenv(variable[1], variable[2])
        return words(scene, line)
    elif step.startswith("no "):
        return without(words(scene, line), step.removeprefix("no "))
    else:
        first = step.split(maxsplit=1)[0] if step else ""
        before = words(scene, line)
        arguments = (without(before, first) if first in before else before) + words(scene, step)
    deletes = "--overwrite" in arguments and "--yes" not in arguments
    return [*arguments, "--yes"] if deletes else arguments


def check_printed(scene: Scene, step: str, hint: str) -> None:
    """The step stands in the hint: as it is, or what it leaves open does."""
    if variable := VARIABLE.fullmatch(step):
        assert variable[1].rpartition("__")[0] in hint, hint
        return
    if step.startswith("no ") and "settings that differ" in hint:
        return
    step = step.removeprefix("no ")
    whole = step.format(model=scene.model, texts=scene.texts)
    if step and whole not in hint:
        option, _, value = whole.partition(" ")
        assert re.search(rf"{option}\b", hint), hint
        assert not whole.startswith("ghosttrack "), hint
        assert not value or value in hint or VAGUE.search(hint), hint


CASES = [
    pytest.param(row, way, marks=[pytest.mark.faults] if row.slow else [], id=f"{row.line}: {way}")
    for row in ROWS
    for way in row.follow
]


@pytest.mark.parametrize(("row", "way"), CASES)
def test_who_follows_a_hint_is_helped(
    row: Row, way: str, scene: Scene, bases: dict[str, Path], ghosttrack: Callable[..., Ended]
) -> None:
    if row.base != "empty":
        shutil.copytree(bases[row.base], "ghosttrack-data")
        shutil.copy(bases["config"], "ghosttrack.toml")
    row.prepare(scene)
    refused = ghosttrack(*words(scene, row.line))
    assert refused.code != 0, refused.out
    what, hint = refused.what, refused.hint
    assert row.what.endswith("()") or fnmatch(what, row.what), what
    for step in way.split(" && "):
        for part in re.split(r" (?=--)", step) if step.startswith("--") else [step]:
            check_printed(scene, part, hint)
    if not way:
        scene.held.close()
    for step in way.split(" && "):
        ended = ghosttrack(*followed(scene, row.line, step))
        if row.then is None:
            assert ended.code == 0, (hint, ended.err)
        else:
            assert ended.what == row.then
    if row.again and way.startswith("ghosttrack "):
        ended = ghosttrack(*words(scene, row.line))
        assert ended.code == 0, (hint, ended.err)


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}


@cache
def constants() -> dict[str, ast.AST]:
    """The constants of all modules, whose names are told apart."""
    return {
        target.id: node.value
        for tree in trees().values()
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    }


@cache
def functions() -> dict[str, ast.FunctionDef]:
    """The functions of all modules: hints are made by few, whose names are told apart."""
    return {
        node.name: node
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }


def strings(node: ast.AST, seen: set[str]) -> Iterator[str]:
    """All strings of an expression: of constants it names and functions it calls, too."""
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value
        name = getattr(one, "id", getattr(one, "attr", ""))
        found: list[ast.AST] = [constants()[name]] if name in constants() else []
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name):
            name = one.func.id
            found = [*functions()[name].body[1:]] if name in functions() else []
        if name == "flag":
            yield "--flag"
        if found and name not in seen:
            seen.add(name)
            for part in found:
                yield from strings(part, seen)


def assigned(function: ast.FunctionDef, name: str) -> Iterator[ast.AST]:
    for one in ast.walk(function):
        if isinstance(one, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in one.targets
        ):
            yield one.value


def template(node: ast.AST, function: str) -> str:
    """A message with "*" for what is put in; the function where it is a variable."""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(one.value) if isinstance(one, ast.Constant) else "*" for one in node.values
        )
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.BinOp):
        return template(node.left, function) + "*"
    return f"{function}()"


def hints() -> Iterator[str]:
    """The message of each error whose hint names a command, an option or a variable."""
    for tree in trees().values():
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            for call in ast.walk(function):
                if not isinstance(call, ast.Call):
                    continue
                for keyword in call.keywords:
                    if keyword.arg != "hint":
                        continue
                    found: list[ast.AST] = [keyword.value]
                    for one in ast.walk(keyword.value):
                        if isinstance(one, ast.Name):
                            found += assigned(function, one.id)
                    text = " ".join(part for one in found for part in strings(one, set()))
                    if ACTS.search(text) and call.args:
                        yield template(call.args[0], function.name)


def test_every_hint_with_something_to_do_has_a_row() -> None:
    found = set(hints())
    rows = {row.what for row in ROWS}
    assert len(found) > 60
    assert found - rows - NOT_FOLLOWED.keys() == set(), "add a row to tests/cli/hint_rows.py"
    assert rows - found == set(), "a row that no hint of the source has"
    assert NOT_FOLLOWED.keys() - found == set()
    assert rows & NOT_FOLLOWED.keys() == set()
    assert all(NOT_FOLLOWED.values())
