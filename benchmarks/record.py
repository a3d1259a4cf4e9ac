"""One JSON record a run of a benchmark: machine, versions, command, and every figure it printed."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

SCHEMA = 1
PACKAGES = (
    *("ghosttrack", "torch", "transformers", "tokenizers", "numpy", "zarr", "google-crc32c"),
    *("sae-lens", "sae-dashboard", "dictionary-learning"),
)
_figures: list[dict[str, Any]] = []


def add_option(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark the option of where its record goes."""
    parser.add_argument(
        "--record",
        type=Path,
        default=Path("benchmark-records"),
        help="folder for the JSON record of this run (default: %(default)s)",
    )


def figure(table: str, **values: float | str | None) -> None:
    """Keep one line of a table: names with their unit (`tokens_per_second`), plain numbers."""
    _figures.append({"table": table, **values})


@contextmanager
def recording(name: str, options: argparse.Namespace) -> Iterator[None]:
    """Write the record of a run when it ends, also when it is stopped: `complete` says which."""
    _figures.clear()
    started, complete = time.time(), False
    try:
        yield
        complete = True
    finally:
        record = {
            "schema": SCHEMA,
            "benchmark": name,
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "options": {key: _plain(value) for key, value in vars(options).items()},
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "seconds": round(time.time() - started, 3),
            "complete": complete,
            "machine": machine(),
            "versions": versions(),
            "figures": list(_figures),
        }
        print(f"record: {write(record, options.record)}", file=sys.stderr)


def write(record: dict[str, Any], folder: Path) -> Path:
    """Under a name that no record has yet."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{record['benchmark']}-{record['started'].replace(':', '')}"
    number, path = 1, folder / f"{stem}.json"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return path


def machine() -> dict[str, Any]:
    """What the figures depend on beside the code."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": round(os.getloadavg()[0], 2),
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "gpu_memory_bytes": torch.cuda.get_device_properties(0).total_memory if cuda else None,
    }


def versions() -> dict[str, str | None]:
    """Of Python and every package that is measured; None where it is not installed."""
    return {"python": platform.python_version(), **{name: _installed(name) for name in PACKAGES}}


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """Linux names the model of the processor in a file only."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _plain(value: object) -> Any:
    return str(value) if isinstance(value, Path) else value
