"""What holds of the hook points inside a block, whatever the family calls its modules."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch

from ghosttrack_cli.errors import ModelError, UsageError
from ghosttrack_cli.site import POINTS, Point, Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.site import AnySite

MIXING_MLP = {"rwkv", "inkling_text"}
"""Whose second half of a block reads the tokens before, too."""
READS_TOKENS = {"gemma4", "gemma4_text", "zamba"}
"""Whose blocks read the tokens again, beside the stream."""


def points_of(model: ResidualModel) -> tuple[Point, ...]:
    """The hook points that every block has."""
    return tuple(
        point
        for point in POINTS
        if all(_has(model, Site(layer, point)) for layer in range(model.n_layers))
    )


def _has(model: ResidualModel, site: Site) -> bool:
    try:
        model.require([site])
    except UsageError:
        return False
    return True


def check_points(model: ResidualModel, ids: Tensor, other: Tensor) -> None:
    """Compare values of texts that the points were not found with; (B, T) each."""
    points = points_of(model)
    sites = [Site(layer, point) for layer in range(model.n_layers) for point in points]
    found = model.residuals(ids, sites)
    assert tuple(found) == tuple(sorted(sites))
    for site, value in plain_hooks(model, ids, sites).items():
        torch.testing.assert_close(found[site], value, rtol=1e-5, atol=1e-5, msg=f"{site}")
    for layer in range(model.n_layers):
        _check_sums(found, layer, points)
        if "mlp_in" in points and model.model.config.model_type not in MIXING_MLP:
            _check_mixing(model, layer, ids, found)
    expected = model.logits(ids)
    for site in sites:
        same = model.logits(ids, layer=site, replace=lambda x: x.clone())
        torch.testing.assert_close(same, expected, rtol=1e-3, atol=1e-3)
    if model.model.config.model_type not in READS_TOKENS:
        _check_last_block(model, ids, other, points)


def plain_hooks(model: ResidualModel, ids: Tensor, sites: list[Site]) -> dict[Site, Tensor]:
    """What plain forward hooks see in a whole pass, times what the block multiplies it by."""
    seen: dict[Site, Tensor] = {}

    def hook(site: Site, side: str, scale: float) -> Callable[..., None]:
        def see(_module: object, args: Any, words: dict[str, Any], output: Any = None) -> None:
            first = args[0] if args else words.get("hidden_states", next(iter(words.values())))
            value = first if side == "input" else output
            value = value[0] if isinstance(value, tuple | list) else value
            seen[site] = scale * value.detach().reshape(*ids.shape, -1)

        return see

    with ExitStack() as hooks, torch.no_grad():
        for site in sites:
            tap = model.taps(site)[site.point]
            module = model.blocks[site.layer].get_submodule(tap.module)
            before = module.register_forward_pre_hook
            add = before if tap.side == "input" else module.register_forward_hook
            hooks.callback(add(hook(site, tap.side, tap.scale), with_kwargs=True).remove)
        model.model(input_ids=ids, use_cache=False)
    return seen


def _check_sums(found: dict[AnySite, Tensor], layer: int, points: tuple[Point, ...]) -> None:
    """The block adds what attention and MLP give, and the stream between them has the first."""
    at = {point: found[Site(layer, point)] for point in points}
    if "attn_out" in at:
        whole = at["resid_pre"] + at["attn_out"] + at["mlp_out"]
        torch.testing.assert_close(whole, at["resid_post"], rtol=1e-4, atol=1e-4)
    if "resid_mid" in at:
        torch.testing.assert_close(
            at["resid_pre"] + at["attn_out"], at["resid_mid"], rtol=1e-4, atol=1e-4
        )


def _check_mixing(
    model: ResidualModel, layer: int, ids: Tensor, found: dict[AnySite, Tensor]
) -> None:
    """A changed first row reaches later rows by attention only: the MLP keeps rows apart."""
    for point, out, later in (("resid_pre", "attn_out", True), ("mlp_in", "mlp_out", False)):
        site = Site(layer, out)  # type: ignore[arg-type]
        moved = spliced_read(model, ids, Site(layer, point), _first_row, site)  # type: ignore[arg-type]
        change = (moved - found[site]).norm(dim=-1).amax(dim=0)  # (T,)
        assert change[0] > 0, (site, "does not depend on its own row")
        assert bool((change[1:] > 1e-5).any()) == later, (site, change)


def _first_row(x: Tensor) -> Tensor:
    changed = x.clone()
    changed[:, 0] = 1 - 2 * x[:, 0].roll(1, dims=-1)
    return changed


def spliced_read(
    model: ResidualModel, ids: Tensor, at: Site, change: Callable[[Tensor], Tensor], read: Site
) -> Tensor:
    """What is at `read` when `change` is made at `at`."""
    seen: list[Tensor] = []

    def keep(x: Tensor) -> Tensor:
        seen.append(x.clone())
        return x

    tap = model.taps(read)[read.point]
    module = model.blocks[read.layer].get_submodule(tap.module)

    def hook(_module: object, _args: object, output: object) -> None:
        value = output[0] if isinstance(output, tuple | list) else output
        assert isinstance(value, torch.Tensor)
        keep(tap.scale * value.reshape(*ids.shape, -1))

    handle = module.register_forward_hook(hook)
    model.logits(ids, layer=at, replace=change)
    handle.remove()
    return seen[-1]


def _check_last_block(
    model: ResidualModel, ids: Tensor, other: Tensor, points: tuple[Point, ...]
) -> None:
    """In the last block the whole stream of another text, before or within, gives its logits."""
    try:
        model.unembed()
    except ModelError:
        return  # the head reads more than the last stream
    for point in {"resid_pre", "resid_mid"} & set(points):
        site = Site(model.n_layers - 1, point)  # type: ignore[arg-type]
        stream = model.residuals(other, [site])[site]
        moved = model.logits(ids, layer=site, replace=lambda _, stream=stream: stream)  # type: ignore[misc]
        torch.testing.assert_close(moved, model.logits(other), rtol=1e-3, atol=1e-3)
