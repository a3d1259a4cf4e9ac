"""The tensors of a foreign SAE: named, of shapes that fit, finite, and turned as ours are.

D d_model, F d_hidden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.quantities import MAX_D_MODEL
from ghosttrack_cli.sae.folder import MAX_D_HIDDEN
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.tensorfiles import read_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

Tensors: TypeAlias = "dict[str, Tensor]"
MAX_WEIGHT_BYTES = 2**36


def read_named(path: Path, names: Mapping[str, str]) -> Tensors:
    """The tensors of a safetensors file under our names; see `renamed`.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: not safetensors, too large, or a tensor is missing.
    """
    return renamed(read_tensors(path, limit=MAX_WEIGHT_BYTES), names, path)


def renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str], path: Path) -> Tensors:
    """The tensors under our names, `names` by theirs; those that are not named stay behind.

    Raises:
        CorruptionError: one is missing; names those that are there.
    """
    missing = [name for name in names.values() if name not in tensors]
    if missing:
        there = ", ".join(sorted(tensors)[:10]) or "no tensors"
        raise CorruptionError(f"no {missing[0]} in {path}: it has {there}")
    return {ours: tensors[theirs] for ours, theirs in names.items()}


def turned(tensors: Tensors) -> Tensors:
    """W_enc of (F, D) and W_dec of (D, F), as linear layers hold them, the other way round."""
    return tensors | {
        name: tensors[name].T if tensors[name].dim() == 2 else tensors[name]
        for name in ("W_enc", "W_dec")
    }


def fitting(tensors: Tensors, path: Path) -> Tensors:
    """The weights as float32: W_enc (D, F), b_enc (F), W_dec (F, D), b_dec (D), threshold (F).

    A threshold of one number is that of every feature.

    Raises:
        CorruptionError: sizes that cannot be, shapes that do not fit, or not finite.
    """
    D, F = _sizes(tensors["W_enc"], path)
    if "threshold" in tensors and tensors["threshold"].dim() == 0:
        tensors = tensors | {"threshold": tensors["threshold"].expand(F)}
    shapes = JumpReLUSAE.shapes(D, F)
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != shapes[name]:
            raise CorruptionError(
                f"{name} has the shape {tuple(tensor.shape)}, but W_enc with d_model {D} and"
                f" d_hidden {F} needs {shapes[name]}: {path}"
            )
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise CorruptionError(f"{name} is not finite: {path}")
    return {name: tensor.float().contiguous() for name, tensor in tensors.items()}


def _sizes(W_enc: Tensor, path: Path) -> tuple[int, int]:
    shape = tuple(W_enc.shape)
    if len(shape) != 2 or not (1 <= shape[0] <= MAX_D_MODEL and 1 <= shape[1] <= MAX_D_HIDDEN):
        raise CorruptionError(
            f"W_enc has the shape {shape}, must be (d_model, d_hidden) with at most"
            f" {MAX_D_MODEL:,} and {MAX_D_HIDDEN:,}: {path}"
        )
    return shape[0], shape[1]
