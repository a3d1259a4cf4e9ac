"""The seed document's validation checklist, each line with its target, value and verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli.quantities import format_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ghosttrack_cli.overview.layers import LayerStatus, TrainingStatus

MAX_DEAD = 0.2


@dataclass(frozen=True)
class Targets:
    """What the settings ask of every layer."""

    recon_loss: float = 0.01
    sparsity_min: float = 50.0
    sparsity_max: float = 100.0


@dataclass(frozen=True)
class Check:
    """One line of the checklist; `met` is None while there is nothing to judge."""

    name: str
    target: str
    value: str
    met: bool | None


def checklist(layers: Sequence[LayerStatus], targets: Targets) -> tuple[Check, ...]:
    """Judge all layers of the workspace; a target holds if it holds for every layer."""
    band = f"{targets.sparsity_min:g} to {targets.sparsity_max:g}"
    low, high = targets.sparsity_min, targets.sparsity_max
    return (
        _trained(layers),
        _metric(
            "reconstruction loss",
            f"below {targets.recon_loss:g}",
            layers,
            lambda training: training.recon_loss,
            lambda value: value < targets.recon_loss,
        ),
        _metric(
            "active features a token",
            band,
            layers,
            lambda training: training.l0,
            lambda value: low <= value <= high,
        ),
        _interpreted(layers),
        _metric(
            "active features",
            f"at least {1 - MAX_DEAD:.0%}",
            layers,
            lambda training: None if training.dead is None else 1 - training.dead,
            lambda value: value >= 1 - MAX_DEAD,
            style=".1%",
        ),
        _converged(layers),
    )


def _trained(layers: Sequence[LayerStatus]) -> Check:
    missing = [one.layer for one in layers if one.training is None or not one.training.finished]
    return _complete("SAEs trained", layers, missing)


def _interpreted(layers: Sequence[LayerStatus]) -> Check:
    missing = [one.layer for one in layers if one.interpretation is None]
    return _complete("interpretations saved", layers, missing)


def _converged(layers: Sequence[LayerStatus]) -> Check:
    missing = [one.layer for one in layers if one.training is None or not one.training.converged]
    return _complete("training converged", layers, missing)


def _complete(name: str, layers: Sequence[LayerStatus], missing: list[int]) -> Check:
    value = f"{len(layers) - len(missing)} of {len(layers)}"
    if missing:
        value += f", not layer {format_layers(missing)}"
    return Check(name, "every layer", value, met=bool(layers) and not missing)


def _metric(
    name: str,
    target: str,
    layers: Sequence[LayerStatus],
    get: Callable[[TrainingStatus], float | None],
    holds: Callable[[float], bool],
    *,
    style: str = ".3g",
) -> Check:
    """A metric of all layers: its range, and the layers in which it misses the target."""
    values = {one.layer: get(one.training) for one in layers if one.training is not None}
    known = {layer: value for layer, value in values.items() if value is not None}
    if not known:
        return Check(name, target, "-", met=None)
    ends = [format(end, style) for end in (min(known.values()), max(known.values()))]
    shown = " to ".join(dict.fromkeys(ends))
    missed = [layer for layer, value in known.items() if not holds(value)]
    if missed:
        shown += f", missed in layer {format_layers(missed)}"
    complete = len(known) == len(layers)
    return Check(name, target, shown, met=None if not missed and not complete else not missed)
