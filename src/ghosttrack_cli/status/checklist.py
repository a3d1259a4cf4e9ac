"""The validation checklist, each line with its target, value and verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ghosttrack_cli.quantities import format_figure, format_share
from ghosttrack_cli.site import format_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.status.layer_status import Expected, LayerStatus, TrainingStatus

MAX_DEAD = 0.2
ORIGINAL_RECON_LOSS = 0.01
NOTHING = "-"


@dataclass(frozen=True)
class Check:
    """One line of the checklist; `met` is None while there is nothing to judge.

    One that is not `required` is shown and not asked for.
    """

    name: str
    target: str
    value: str
    met: bool | None
    required: bool = True


def checklist(layers: Sequence[LayerStatus], recon_loss: float | None = None) -> tuple[Check, ...]:
    """Judge all layers of the workspace; a target holds if it holds for every layer.

    Each layer is judged by what its own training aimed at; an imported SAE aims at nothing here.
    `recon_loss` is the largest reconstruction loss that the settings accept, in place of what is
    good at the layer's L0.
    """
    everything = layers
    layers = [one for one in layers if not (one.training and one.training.imported)]
    if everything and not layers:
        return (_trained(everything), _interpreted(everything))
    return (
        _trained(everything),
        *_reconstruction(layers, recon_loss),
        _metric(
            "active features per token",
            _common(
                layers, lambda one: f"{format_figure(one.l0_min)} to {format_figure(one.l0_max)}"
            ),
            layers,
            lambda training: training.l0,
            _in_band,
        ),
        _interpreted(everything),
        _metric(
            "active features",
            f"at least {format_share(1 - MAX_DEAD)}",
            layers,
            lambda training: None if training.dead is None else 1 - training.dead,
            lambda value, _: value >= 1 - MAX_DEAD,
            style=".1%",
        ),
        _converged(layers),
    )


def _reconstruction(layers: Sequence[LayerStatus], recon_loss: float | None) -> tuple[Check, ...]:
    """The loss that was asked for; or what is good here, and the original target to look at."""
    original = _metric(
        "reconstruction loss",
        f"below {recon_loss or ORIGINAL_RECON_LOSS:g}",
        layers,
        lambda training: training.recon_loss,
        lambda value, _: value < (recon_loss or ORIGINAL_RECON_LOSS),
    )
    if recon_loss is not None:
        return (original,)
    good = _metric(
        "FVU",
        _common(
            layers, lambda one: f"below {format_figure(one.fvu)}, good at L0 {one.target_l0:g}"
        ),
        layers,
        lambda training: training.fvu,
        lambda value, expected: expected is None or value < expected.fvu,
    )
    target = f"{original.target}, the original target"
    return (good, replace(original, target=target, required=False))


def _in_band(value: float, expected: Expected | None) -> bool:
    return expected is None or expected.l0_min <= value <= expected.l0_max


def _common(layers: Sequence[LayerStatus], words: Callable[[Expected], str]) -> str:
    """A target in words, if it is the same for all layers that say one."""
    known = [one.training.expected for one in layers if one.training and one.training.expected]
    found = list(dict.fromkeys(words(one) for one in known))
    return found[0] if len(found) == 1 else "each layer's own" if found else NOTHING


def _trained(layers: Sequence[LayerStatus]) -> Check:
    missing = [one.layer for one in layers if one.training is None or not one.training.finished]
    return _complete("SAEs trained", layers, missing)


def _interpreted(layers: Sequence[LayerStatus]) -> Check:
    missing = [one.layer for one in layers if not one.interpreted]
    outdated = [one.layer for one in layers if one.interpretation and not one.interpreted]
    check = _complete("interpretations saved", layers, missing)
    if not outdated:
        return check
    words = f"of an earlier SAE in layer {format_layers(outdated)}"
    return replace(check, value=f"{len(layers) - len(missing)} of {len(layers)}, {words}")


def _converged(layers: Sequence[LayerStatus]) -> Check:
    missing = [one.layer for one in layers if one.training is None or not one.training.converged]
    return _complete("training converged", layers, missing)


def _complete(name: str, layers: Sequence[LayerStatus], missing: list[AnySite]) -> Check:
    value = f"{len(layers) - len(missing)} of {len(layers)}"
    if missing:
        value += f", not layer {format_layers(missing)}"
    return Check(name, "every layer", value, met=bool(layers) and not missing)


def _metric(
    name: str,
    target: str,
    layers: Sequence[LayerStatus],
    get: Callable[[TrainingStatus], float | None],
    holds: Callable[[float, Expected | None], bool],
    *,
    style: str = ".3g",
) -> Check:
    """A metric of all layers: its range, and the layers in which it misses the target."""
    trained = {one.layer: one.training for one in layers if one.training is not None}
    found = {layer: get(training) for layer, training in trained.items()}
    known = {layer: value for layer, value in found.items() if value is not None}
    if not known:
        return Check(name, target, NOTHING, met=None)
    ends = [format(end, style) for end in (min(known.values()), max(known.values()))]
    shown = " to ".join(dict.fromkeys(ends))
    missed = [layer for layer, value in known.items() if not holds(value, trained[layer].expected)]
    if missed:
        shown += f", missed in layer {format_layers(missed)}"
    complete = len(known) == len(layers)
    return Check(name, target, shown, met=None if not missed and not complete else not missed)
