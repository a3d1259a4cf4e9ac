"""The tree of docs/architecture.md, from the first line of every module."""

import ast
from pathlib import Path

SECTIONS = {
    "L4, the command line": ("cli",),
    "L3, the stages": ("extraction", "training", "interpretation", "status", "export", "importing"),
    "L2, the page, and files of others": ("browser", "foreign"),
    "L1, the parts": ("text", "store", "model", "sae", "report", "metrics.py"),
}
GROUND = "L0, the ground"
MARKS = ("<!-- tree: written by tools/write_docs.py -->", "<!-- end of tree -->")


def source_tree(package: Path) -> str:
    """Every module under `package` with its purpose, from the top level down."""
    placed = {name for names in SECTIONS.values() for name in names}
    ground = tuple(name for name in _modules(package) if name not in placed)
    sections = {**SECTIONS, GROUND: ground}
    return "\n\n".join(
        f"**{title}**\n\n" + "\n".join(_lines(package, names)) for title, names in sections.items()
    )


def _modules(package: Path) -> list[str]:
    """The names of a package's modules, and of the packages in it."""
    found = [path for path in package.iterdir() if (path / "__init__.py").is_file()]
    return sorted(path.name for path in [*package.glob("*.py"), *found])


def with_tree(document: str, package: Path) -> str:
    """`document` with what stands between its two marks written anew."""
    before, rest = document.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    return f"{before}{MARKS[0]}\n\n{source_tree(package)}\n\n{MARKS[1]}{after}"


def _lines(package: Path, names: tuple[str, ...]) -> list[str]:
    return [line for name in names for line in _entry(package / name, depth=0)]


def _entry(path: Path, depth: int) -> list[str]:
    """A module's line, or a folder's line, those of its modules, and those of its folders."""
    indent = "  " * depth
    if path.suffix == ".py":
        purpose = _purpose(path)
        return [f"{indent}- `{path.name}`: {purpose}"] if purpose else []
    modules = [one for one in sorted(path.glob("*.py")) if one.name != "__init__.py"]
    folders = [one.parent for one in sorted(path.glob("*/__init__.py"))]
    inside = [line for one in modules + folders for line in _entry(one, depth + 1)]
    return [f"{indent}- `{path.name}/`: {_purpose(path / '__init__.py')}", *inside]


def _purpose(module: Path) -> str:
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]
