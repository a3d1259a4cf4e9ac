"""Whether the blocks of a model pass one residual stream on, from the past to the future only.

What the names of modules suggest is looked at once, on a few tokens, before anything is stored.

Shapes: B batch, T tokens, D d_model.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cosine_similarity

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.model.architectures import block_output
from ghosttrack_cli.model.kinds import SUPPORTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ghosttrack_cli.model.residual import ResidualModel

TOKENS = 6
SAME = {torch.float32: 1e-3, torch.float16: 0.03, torch.bfloat16: 0.05}
"""How far streams that ought to be equal may differ, as a share of their norm."""


class _Seen:
    """What blocks got and gave in one pass, in the order of their calls."""

    def __init__(self) -> None:
        self.layers: list[int] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def hook(self, layer: int) -> Callable[..., None]:
        def note(_block: object, args: tuple[Any, ...], words: dict[str, Any], out: Any) -> None:
            first = args[0] if args else words.get("hidden_states")
            self.layers.append(layer)
            self.inputs.append(first.detach().clone() if isinstance(first, torch.Tensor) else None)
            stream = block_output(out)
            self.outputs.append(
                stream.detach().clone() if isinstance(stream, torch.Tensor) else None
            )

        return note


@torch.inference_mode()
def check_stream(model: ResidualModel, ids: Tensor) -> None:
    """Run `ids` (T,), and once more with another last token, and look at every block.

    Raises:
        ModelError: not one residual stream of d_model numbers a token that each block takes from
            the one before, or one that depends on tokens that are still to come.
    """
    seen, last = _Seen(), ids.clone()
    last[-1] = ids[0] if ids[0] != ids[-1] else ids[-2]
    both = torch.stack([ids, last])  # (2, T)
    with ExitStack() as hooks:
        for layer, block in enumerate(model.blocks):
            handle = block.register_forward_hook(seen.hook(layer), with_kwargs=True)
            hooks.callback(handle.remove)
        _run(model, both)
    _check_calls(model, seen.layers)
    for layer, stream in enumerate(seen.outputs):
        _check_shape(model, layer, stream, both.shape)
    for layer in range(1, model.n_layers):
        _check_passed_on(model, layer, seen.outputs[layer - 1], seen.inputs[layer])
    _check_causal(model, seen.outputs)


def _run(model: ResidualModel, ids: Tensor) -> None:
    try:
        model.logits(ids)
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError, AssertionError) as e:
        line = next(iter(str(e).strip().splitlines()), type(e).__name__)[:200]
        raise _refuse(model, f"it cannot be run on text alone: {line}") from e


def _refuse(model: ResidualModel, why: str) -> ModelError:
    kind = model.model.config.model_type
    return ModelError(f"no residual stream to read: {kind}: {why}", hint=SUPPORTED)


def _check_calls(model: ResidualModel, layers: list[int]) -> None:
    if layers != list(range(model.n_layers)):
        raise _refuse(model, "its blocks do not run once each, in order")


def _check_shape(
    model: ResidualModel, layer: int, stream: Tensor | None, asked: torch.Size
) -> None:
    found = None if stream is None else tuple(stream.shape)
    if found is not None and (len(found) > len(asked) + 1 or found[-1] > model.d_model):
        raise _refuse(model, f"its blocks pass on several streams (block {layer} gives {found})")
    if found != (*asked, model.d_model):
        raise _refuse(
            model, f"block {layer} gives {found}, not {(*asked, model.d_model)} (batch, tokens, D)"
        )


def _check_passed_on(model: ResidualModel, layer: int, gave: Tensor, got: Tensor | None) -> None:
    """One block's input is the output of the one before, up to a factor (RWKV halves it)."""
    same = got is not None and got.shape == gave.shape
    if got is not None and same:
        cosine = cosine_similarity(gave.float(), got.float(), dim=-1)
        # What overflowed compares as neither: the store refuses it, by its row.
        same = not bool((cosine < 1 - SAME[model.dtype]).any())
    if not same:
        raise _refuse(model, f"block {layer} does not take what block {layer - 1} gives")


def _check_causal(model: ResidualModel, streams: list[Tensor]) -> None:
    for layer, stream in enumerate(streams):
        one, other = stream[:, :-1].float()  # (T - 1, D)
        moved = (one - other).norm(dim=-1) / one.norm(dim=-1)  # (T - 1,)
        if float(moved.mean()) > SAME[model.dtype]:
            raise _refuse(model, f"block {layer} reads tokens that are still to come")
