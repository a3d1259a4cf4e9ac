"""Hook points are what plain hooks on the modules of each family give, and can be replaced."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.model.hook_points import check_points
from tests.model.test_residual import FAMILIES, PATHS, padding_mask, token_ids, wrap
from tests.model.tiny import tiny_model

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.model.hook_points import find_taps
from ghosttrack_cli.site import POINTS, Point, Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from transformers import PreTrainedModel

    from ghosttrack_cli.site import AnySite

LLAMA = ("self_attn", "post_attention_layernorm", "mlp", "mlp")
PARALLEL = (None, "mlp", "mlp")
MODULES: dict[str, tuple[str | None, ...]] = {
    "gpt2": ("attn", "ln_2", "mlp", "mlp"),
    "gpt_neox": ("attention", *PARALLEL),
    "phi": ("self_attn", *PARALLEL),
    "opt": ("self_attn", "final_layer_norm", "fc1", "fc2"),
    "gemma2": (
        "post_attention_layernorm", "pre_feedforward_layernorm", "mlp",
        "post_feedforward_layernorm",
    ),
}  # fmt: skip
"""By family the modules of a block that give attn_out, get resid_mid, get mlp_in, give mlp_out."""
WITHIN: tuple[Point, ...] = ("attn_out", "resid_mid", "mlp_in", "mlp_out")


def plain_values(
    model: PreTrainedModel, family: str, ids: Tensor, mask: Tensor | None
) -> dict[AnySite, Tensor]:
    """What plain hooks see in a full forward pass of the untouched model."""
    seen: dict[AnySite, Tensor] = {}

    def keep(site: Site, *, gets: bool) -> Callable[..., None]:
        def hook(_module: object, args: Any, words: dict[str, Any], output: Any) -> None:
            value = (args[0] if args else words["hidden_states"]) if gets else output
            value = value[0] if isinstance(value, tuple) else value
            seen[site] = value.reshape(*ids.shape, -1).clone()

        return hook

    with ExitStack() as hooks:
        blocks = model.get_submodule(PATHS.get(family, "model.layers"))
        for layer, block in enumerate(blocks.children()):
            for point, name in zip(WITHIN, MODULES.get(family, LLAMA), strict=True):
                if name is not None:
                    hook = keep(Site(layer, point), gets=point in ("resid_mid", "mlp_in"))
                    handle = block.get_submodule(name).register_forward_hook(hook, with_kwargs=True)
                    hooks.callback(handle.remove)
            for point, gets in (("resid_pre", True), ("resid_post", False)):
                hook = keep(Site(layer, point), gets=gets)
                handle = block.register_forward_hook(hook, with_kwargs=True)
                hooks.callback(handle.remove)
        with torch.no_grad():
            model(input_ids=ids, attention_mask=mask, use_cache=False)
    return seen


@pytest.mark.parametrize("padding", ["none", "right"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_point_is_what_a_plain_hook_sees(
    family: str, padding: str, make_random_model: Callable[..., PreTrainedModel]
) -> None:
    ids, mask = token_ids(), None if padding == "none" else padding_mask(padding)
    plain = plain_values(make_random_model(family), family, ids, mask)
    model = wrap(make_random_model(family))
    expected = [site for site in sorted(plain) if Site.of(site).layer in (0, 2)]
    found = model.residuals(ids, expected, mask)
    assert list(found) == expected
    for site, value in found.items():
        torch.testing.assert_close(value, plain[site], rtol=1e-5, atol=1e-5, msg=str(site))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_rounding_hides_no_point_and_makes_none_up(
    family: str, dtype: torch.dtype, make_random_model: Callable[..., PreTrainedModel]
) -> None:
    exact = wrap(make_random_model(family))
    rounded = wrap(make_random_model(family))
    rounded.model.to(dtype)  # type: ignore[arg-type]
    ids = torch.arange(3, 9)
    assert find_taps(rounded, ids) == find_taps(exact, ids)


def test_what_is_added_is_scaled_as_the_block_does() -> None:
    """Granite multiplies what attention and MLP give before it adds them."""
    plain = tiny_model("granite")
    for block in plain.get_submodule("model.layers").children():
        block.residual_multiplier = 0.25  # type: ignore[assignment]
    model, ids = wrap(plain), token_ids() % 90
    check_points(model, ids, ids.flip(0))
    tap = model.taps(Site(1, "mlp_out"))["mlp_out"]
    assert tap.module == "mlp"
    assert tap.scale == pytest.approx(0.25, rel=1e-5)


def test_a_twin_reads_the_same_points(make_random_model: Callable[..., PreTrainedModel]) -> None:
    model, sites = wrap(make_random_model("gpt2")), [Site(1, point) for point in POINTS]
    expected = model.residuals(token_ids(), sites)
    for site, value in model.twin().residuals(token_ids(), sites).items():
        assert torch.equal(value, expected[site])


def test_a_replaced_stream_goes_to_the_mlp_and_past_it(
    make_random_model: Callable[..., PreTrainedModel],
) -> None:
    """resid_mid + mlp_out = resid_post, whatever resid_mid is replaced by."""
    model, ids = wrap(make_random_model("gpt2")), token_ids()
    stream = torch.randn(*ids.shape, model.d_model, generator=torch.Generator().manual_seed(3))
    seen: dict[str, Tensor] = {}
    block = model.blocks[1]
    with ExitStack() as hooks:
        for name, module in (("mlp", block.get_submodule("mlp")), ("block", block)):

            def keep(_m: object, _i: object, out: Any, name: str = name) -> None:
                seen[name] = (out[0] if isinstance(out, tuple) else out).clone()

            hooks.callback(module.register_forward_hook(keep).remove)
        model.logits(ids, layer=Site(1, "resid_mid"), replace=lambda _: stream)
    torch.testing.assert_close(seen["block"], stream + seen["mlp"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("point", ["attn_out", "mlp_out"])
def test_what_is_zeroed_adds_nothing(
    point: Point, make_random_model: Callable[..., PreTrainedModel]
) -> None:
    """Without what the last block adds, the stream before it is what its head reads."""
    model, ids = wrap(make_random_model("llama")), token_ids()
    last = model.n_layers - 1
    both = model.residuals(ids, [Site(last, "resid_pre"), Site(last, "resid_mid")])
    silent = Site(last, point)
    other = both[Site(last, "resid_pre")] if point == "attn_out" else both[Site(last, "resid_mid")]
    moved = model.logits(ids, layer=silent, replace=torch.zeros_like)
    if point == "attn_out":
        expected = model.logits(ids, layer=Site(last, "resid_mid"), replace=lambda _: other)
    else:
        expected = model.logits(ids, layer=last, replace=lambda _: other)
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-4)


def test_a_point_that_a_model_does_not_have_is_refused_with_those_it_has(
    make_random_model: Callable[..., PreTrainedModel],
) -> None:
    model = wrap(make_random_model("phi"))
    with pytest.raises(UsageError, match="no hook point resid_mid in block 1 of phi") as refused:
        model.residuals(token_ids(), [0, Site(1, "resid_mid")])
    assert (
        refused.value.hint
        == "--hook takes some of resid_pre,attn_out,mlp_in,mlp_out,resid_post here"
    )
