"""Tensors that a model does not use: harmless and said, or a sign of other rows and refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.model.model_files import ADAPTER, MERGE
from ghosttrack_cli.quantities import counted

if TYPE_CHECKING:
    from torch import nn

    from ghosttrack_cli.model.model_files import ModelSource

MADE_ANEW = (".masked_bias", ".inv_freq", ".position_ids")
"""Buffers that older files hold and every model makes by itself."""
SENSES = re.compile(r"vision|visual|image|audio|speech|projector|multi_modal", re.ASCII)
"""What sees and hears: a class that reads text alone does without it."""
SHOWN = 5


def check_adapter(source: ModelSource) -> None:
    """Refuse full weights with an adapter beside them, which would not be applied.

    Raises:
        ModelError: there is one.
    """
    if ADAPTER in source.names:
        raise ModelError(
            f"the adapter beside the weights is not applied: {source.folder}: {ADAPTER}",
            hint=f"{MERGE}; or remove {ADAPTER} to use the weights without it",
        )


def unused(source: ModelSource, model: nn.Module, names: list[str]) -> tuple[str, ...]:
    """Say which tensors of the files have no place in `model`.

    Whole parts that the configuration does not have, as heads for other tasks, change no row.

    Raises:
        ModelError: a tensor belongs to a module that the model has and runs without it, as a bias
            that the configuration denies or the scales of quantised weights.
    """
    names = [name for name in names if not name.endswith(MADE_ANEW)]
    if not names:
        return ()
    leaves = {path for path, module in model.named_modules() if path and _is_leaf(module)}
    known = leaves | {rest for path in leaves for rest in _endings(path)}
    torn = [
        name
        for name in names
        if not SENSES.search(name)
        and (_owner(name) in known or leaves & set(_endings(_owner(name))))
    ]
    if torn:
        raise ModelError(
            f"weights do not match the configuration: {source.folder} has "
            f"{counted(len(torn), 'tensor')} that {source.config.name} has no place for: "
            f"{_listed(torn)}",
            hint=f"{source.config.name} belongs to other weights, or these are quantised: use "
            "both from the same release",
        )
    return (f"{len(names)} tensors of {source.folder} are not used: {_listed(names)}",)


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None and bool(list(module.parameters(recurse=False)))


def _endings(path: str) -> list[str]:
    """What is left of `path` without parts before its block, which files may leave out or add."""
    parts = path.split(".")
    block = next((place for place, part in enumerate(parts) if part.isdecimal()), 1)
    return [".".join(parts[start:]) for start in range(1, block)]


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
