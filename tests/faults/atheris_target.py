"""Coverage-guided fuzzing of one reader of test_fuzz.py, as a program.

`python -m tests.faults.atheris_target NAME WORKSPACE FOLDER`, then options of libFuzzer. An input
is the file; of a sealed one what stands behind the checksum, which is made to fit.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import GhostTrackError
from ghosttrack_cli.files.sealed import seal_text
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.readers import Reader


atheris: Any = importlib.import_module("atheris")
"""It has no types, and no wheel for some machines."""


def prepare(name: str, workspace: Path, folder: Path) -> Reader:
    """The reader, with every module that it needs instrumented."""
    with atheris.instrument_imports(include=["ghosttrack_cli", "tests.faults.planted"]):
        from tests.faults import planted, test_fuzz

        make = getattr(planted if name == "planted" else test_fuzz, name)
        reader: Reader = make(Workspace(workspace), folder)
        reader.read()
    return reader


def sealed_bytes(body: bytes) -> bytes:
    """`body` behind the checksum that it asks for."""
    text = body.decode("utf-8", "replace")
    return seal_text(text)[0]


def body_of(reader: Reader) -> bytes:
    """A valid input."""
    data = reader.file.read_bytes()
    return b"{" + data.partition(b"\n")[2] if is_sealed(reader) else data


def is_sealed(reader: Reader) -> bool:
    return reader.seal is not None and reader.seal.__name__ == "sealed"


def target(reader: Reader) -> Callable[[bytes], None]:
    """Reads one input; what is no error of ours ends the process."""
    seal = sealed_bytes if is_sealed(reader) else bytes

    def one(data: bytes) -> None:
        reader.file.write_bytes(seal(data))
        try:
            reader.read()
        except GhostTrackError:
            return

    return one


def main() -> None:
    program, name, workspace, folder, *options = sys.argv
    reader = prepare(name, Path(workspace), Path(folder))
    inputs = Path(folder) / "inputs"
    inputs.mkdir()
    (inputs / "valid").write_bytes(body_of(reader))
    atheris.Setup([program, *options, str(inputs)], target(reader))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
