"""What GhostTrack does with a model type, found on a tiny one of it.

Everything that is expected comes from the plain model: its own hidden states, its own head.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from tests.model.hook_points import check_points, points_of
from tests.model.test_residual import wrap
from tests.model.tiny import tiny_model
from tools.model_types import FULL, NO_LENS, REFUSED, UNBUILT

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.model import kinds
from ghosttrack_cli.model.stream import TOKENS, check_stream
from ghosttrack_cli.model.weights import settled
from ghosttrack_cli.site import POINTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from transformers import PreTrainedModel

    from ghosttrack_cli.model.residual import ResidualModel

SHOWN = 5
NUDGE = 1e-2
WITHOUT_EMBEDDINGS = {"mamba", "mamba2", "falcon_mamba", "rwkv"}
"""Whose hidden states begin with what the first block gives."""


def verdict(model_type: str) -> tuple[str, frozenset[str]]:
    """What a model of `model_type` gives, all of it checked.

    Everything, no lens, or a refusal; and the hook points that its blocks do not all have.
    """
    nothing = frozenset[str]()
    if model_type in kinds.OTHERS:
        return REFUSED + kinds.OTHERS[model_type], nothing
    try:
        plain = tiny_model(model_type)
    except ModelError as error:
        return REFUSED + _reason(error), nothing
    except Exception:  # noqa: BLE001 - what a default configuration lacks differs by type
        return UNBUILT, nothing
    _shake(plain)
    settled(plain)
    try:
        model = wrap(plain)
        check_stream(model, model.some_ids(TOKENS))
    except ModelError as error:
        return REFUSED + _reason(error), nothing
    check_rows(model)
    check_splicing(model)
    check_points(model, ids_of(1), ids_of(2))
    missing = frozenset(POINTS) - frozenset(points_of(model))
    try:
        _, unembedding = model.unembed()
    except ModelError as error:
        return NO_LENS + _reason(error), missing
    check_promoted(model, unembedding)
    return FULL, missing


def _reason(error: ModelError) -> str:
    """The error without what names the kind of failure and the type."""
    why = error.what.partition(": ")[2]
    _, _, after = why.partition(": " if error.what.startswith("no residual") else " ")
    return after


def _shake(model: PreTrainedModel) -> None:
    """Weights of norms and biases that differ from one another, so that none passes for another."""
    random = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += torch.rand(parameter.shape, generator=random)


def ids_of(seed: int, length: int = 9) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(5, 90, (2, length), generator=random)


def plain_pass(model: ResidualModel, ids: Tensor, **words: Any) -> Any:
    with torch.no_grad():
        return model.model(input_ids=ids, use_cache=False, **words)


def check_rows(model: ResidualModel) -> None:
    """Streams are what transformers calls hidden states, and what the blocks return."""
    ids = ids_of(1)
    returned: dict[int, Tensor] = {}
    with ExitStack() as hooks:
        for layer, block in enumerate(model.blocks):

            def keep(_b: object, _i: object, out: Any, layer: int = layer) -> None:
                returned[layer] = (out if isinstance(out, torch.Tensor) else out[0]).clone()

            hooks.callback(block.register_forward_hook(keep).remove)
        hidden = plain_pass(model, ids, output_hidden_states=True).hidden_states
    streams = model.residuals(ids, range(model.n_layers))
    for layer in range(model.n_layers):
        torch.testing.assert_close(streams[layer], returned[layer], rtol=1e-4, atol=1e-4)
    if hidden is not None and len(hidden) == model.n_layers + 1:
        first = 0 if model.model.config.model_type in WITHOUT_EMBEDDINGS else 1
        for layer in range(model.n_layers - 1):
            torch.testing.assert_close(streams[layer], hidden[layer + first], rtol=1e-4, atol=1e-4)


def check_splicing(model: ResidualModel) -> None:
    """A stream put back changes nothing; another text's last stream gives the other's logits."""
    ids, other = ids_of(1), ids_of(2)
    expected, last = plain_pass(model, ids).logits, model.n_layers - 1
    streams = model.residuals(other, range(model.n_layers))
    for layer in range(model.n_layers):
        same = model.logits(ids, layer=layer, replace=lambda x: x.clone())
        torch.testing.assert_close(same, expected, rtol=1e-3, atol=1e-3)
        moved = model.logits(ids, layer=layer, replace=given(streams[layer]))
        assert not torch.allclose(moved, expected, atol=1e-6), f"block {layer} has no effect"
    try:
        model.unembed()
    except ModelError:
        return  # the head reads more than the last stream
    moved = model.logits(ids, layer=last, replace=given(streams[last]))
    torch.testing.assert_close(moved, plain_pass(model, other).logits, rtol=1e-3, atol=1e-3)


def given(stream: Tensor) -> Callable[[Tensor], Tensor]:
    """A replacement that gives `stream` whatever it gets."""
    return lambda _: stream


def check_promoted(model: ResidualModel, unembedding: Tensor) -> None:
    """The tokens a direction promotes are those that the model's own head promotes when nudged."""
    stream = model.residuals(ids_of(1), [model.n_layers - 1])[model.n_layers - 1]  # (2, T, D)
    direction = torch.randn(stream.shape[-1], generator=torch.Generator().manual_seed(7))
    # A norm divides by the length of the stream: what does not change it shows the rest.
    across = _orthogonal(direction, stream)  # (2, T, D)
    length = NUDGE * stream.norm(dim=-1, keepdim=True)
    up, down = (head(model, stream + sign * length * across) for sign in (1, -1))
    change = (up - down).double()  # (2, T, V)
    expected = across.double() @ unembedding.double().T
    for one, other in zip(change.flatten(0, 1), expected.flatten(0, 1), strict=True):
        torch.testing.assert_close(_unit(one), _unit(other), rtol=0, atol=0.02)
        for sign in (1, -1):
            best, said = ((sign * _unit(part)).topk(SHOWN) for part in (one, other))
            torch.testing.assert_close(
                (sign * _unit(one))[said.indices], best.values, rtol=0, atol=0.01
            )


def head(model: ResidualModel, stream: Tensor) -> Tensor:
    """The model's own logits where its last block returns `stream`."""

    def swap(_block: object, _inputs: object, out: Any) -> Any:
        return stream if isinstance(out, torch.Tensor) else type(out)((stream, *out[1:]))

    handle = model.blocks[-1].register_forward_hook(swap)
    logits: Tensor = plain_pass(model, ids_of(1)).logits.float()
    handle.remove()
    return logits


def _orthogonal(direction: Tensor, stream: Tensor) -> Tensor:
    """Of length 1, and orthogonal to the stream and to a constant."""
    centred = stream - stream.mean(dim=-1, keepdim=True)
    direction = direction - direction.mean()
    along = (direction * centred).sum(-1, keepdim=True) / centred.square().sum(-1, keepdim=True)
    across: Tensor = direction - along * centred
    return torch.nn.functional.normalize(across, dim=-1)


def _unit(values: Tensor) -> Tensor:
    centred = values - values.mean()
    return torch.nn.functional.normalize(centred, dim=0)
