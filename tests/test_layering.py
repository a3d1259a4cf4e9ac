"""Imports point down, and each kind of work is done in one place: read from the syntax trees."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parents[1] / "src" / "ghosttrack_cli"
PACKAGE = "ghosttrack_cli"
LEVELS = {
    "cli": 4,
    "__main__": 4,
    "extraction": 3,
    "training": 3,
    "interpretation": 3,
    "status": 3,
    "export": 3,
    "importing": 3,
    "browser": 2,
    "foreign": 2,
    "text": 1,
    "store": 1,
    "model": 1,
    "sae": 1,
    "report": 1,
    "metrics": 1,
}
"""Everything else is level 0, where modules may use each other."""
FACADE = "__init__"


@dataclass(frozen=True)
class Module:
    """A source file: its dotted name inside the package, and the unit that it belongs to."""

    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        return ".".join(self.path.relative_to(SOURCE).with_suffix("").parts)

    @property
    def unit(self) -> str:
        return self.name.partition(".")[0]


def modules() -> list[Module]:
    return [Module(path, ast.parse(path.read_text())) for path in sorted(SOURCE.rglob("*.py"))]


MODULES = modules()


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in `tree`, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            assert node.module is not None
            yield from (
                f"{node.module}.{alias.name}" if node.module == PACKAGE else node.module
                for alias in node.names
            )


def units_used(module: Module) -> set[str]:
    names = (name for name in imported(module.tree) if name.startswith(f"{PACKAGE}."))
    return {name.split(".")[1] for name in names}


def top_names(module: Module) -> set[str]:
    return {name.partition(".")[0] for name in imported(module.tree)}


def calls(module: Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_imports_point_down(module: Module) -> None:
    if module.name == FACADE:
        return
    level = LEVELS.get(module.unit, 0)
    for unit in units_used(module) - {module.unit}:
        other = LEVELS.get(unit, 0)
        assert other < level or (other == level and level in {0, 4}), (
            f"{module.name} (level {level}) imports {unit} (level {other})"
        )


def test_no_imports_go_round_in_a_circle() -> None:
    """Neither between modules nor between the rooms (folders) of a package, whenever they run."""
    names = {module.name.removesuffix(f".{FACADE}") for module in MODULES}
    uses = {module.name: set(targets(module, names)) - {module.name} for module in MODULES}
    assert circle(uses) == []
    rooms: dict[str, set[str]] = {}
    for name, others in uses.items():
        rooms.setdefault(room(name), set()).update(map(room, others))
    assert circle({name: others - {name} for name, others in rooms.items()}) == []


def targets(module: Module, names: set[str]) -> Iterator[str]:
    """The modules that `module` imports when it runs: not those that only its types need."""
    for node in running(module.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            base = (node.module or "").removeprefix(PACKAGE).lstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".lstrip(".")
                yield from (name for name in (full if full in names else base,) if name in names)


def running(node: ast.AST) -> Iterator[ast.AST]:
    if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from running(child)


def room(name: str) -> str:
    """The folder of a module inside its package; a module without one is its own room."""
    parts = name.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 else name


def circle(uses: dict[str, set[str]]) -> list[str]:
    """The names of a circle of arrows, or none."""
    left = dict(uses)
    while ends := [name for name, others in left.items() if not others & left.keys()]:
        for name in ends:
            del left[name]
    return sorted(left)


def test_the_units_of_the_picture_exist() -> None:
    found = {module.unit for module in MODULES}
    assert set(LEVELS) <= found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_each_library_and_each_effect_has_one_place(module: Module) -> None:
    names, effects = top_names(module), {function for function, _ in calls(module)}
    if module.unit != "store":
        assert "zarr" not in names
    if module.name != "cli.terminal.console":
        assert "rich" not in names
        assert "print" not in effects
        assert not {"sys.stdout.write", "sys.stderr.write"} & effects
    if module.name != "machine.clock":
        assert not {"time", "datetime"} & names
    assert not {"click", "pickle"} & names


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_only_files_opens_for_writing(module: Module) -> None:
    if module.unit == "files":
        return
    lines = [node.lineno for function, node in calls(module) if writes(function, node)]
    assert not lines, f"{module.name} writes in lines {lines}"


ASKS_THE_DISK = {
    "exists", "is_dir", "is_file", "is_symlink", "iterdir", "glob", "rglob", "stat", "open",
    "read_bytes", "read_text", "resolve", "samefile",
}  # fmt: skip
"""Methods of a path that look at what lies there."""


@pytest.mark.parametrize(
    "module", [one for one in MODULES if one.unit == "store"], ids=lambda module: module.name
)
def test_a_store_asks_the_disk_through_files_alone(module: Module) -> None:
    """So that another medium is made below `files/`, in files/system.py and beside it."""
    assert not {"os", "shutil", "mmap", "fcntl"} & top_names(module)
    asked = [
        f"line {node.lineno}: {function}"
        for function, node in calls(module)
        if (found := function.rpartition("."))[2] in ASKS_THE_DISK
        and not found[0].startswith(("files", "ActivationStore", "StoreWriter", "StoreRepair"))
    ]
    assert not asked, f"{module.name} asks the disk itself: {asked}"


def writes(function: str, call: ast.Call) -> bool:
    """Whether a call opens, writes, moves or deletes a file by other means than `files`."""
    owner, _, name = function.rpartition(".")
    if owner == "files":
        return False
    if name == "open" and owner == "os":
        flags = ast.unparse(call.args[1]) if len(call.args) > 1 else ""
        return any(flag in flags for flag in ("O_WRONLY", "O_RDWR", "O_CREAT")) and (
            "os.devnull" not in ast.unparse(call.args[0])
        )
    if name == "open":
        modes = [*call.args, *(word.value for word in call.keywords)]
        texts = [one.value for one in modes if isinstance(one, ast.Constant)]
        return any(
            isinstance(text, str) and set(text) & set("wax+") <= set("wax+") and is_mode(text)
            for text in texts
        )
    methods = {"write_text", "write_bytes", "unlink", "rmtree", "mkdir", "touch", "rmdir"}
    return bool(owner) and name in methods


def is_mode(text: str) -> bool:
    return 1 <= len(text) <= 3 and set(text) <= set("rwaxbt+") and bool(set(text) & set("wax+"))
