"""Where in a block its hook points are: found by running it, since families name things their way.

A block adds two things to the residual stream. Two modules whose outputs a and m give
`resid_pre + a + m = resid_post` are its attention and its MLP (or the norms after them, where there
are such); a module that reads `resid_pre + a` reads `resid_mid`.

Shapes: B batch, T tokens, D d_model.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import torch

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.model.architectures import block_output
from ghosttrack_cli.site import POINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.site import Point, Site

CLOSE = {torch.float32: 1e-4, torch.float16: 0.01, torch.bfloat16: 0.05}
"""How far a sum may be from what it ought to be, as a share of what the block adds to a row."""
HIDDEN = "hidden_states"


@dataclass(frozen=True)
class Tap:
    """One side of a module inside a block; `module` is its path there, "" the block itself."""

    module: str
    side: Literal["input", "output"]
    scale: float = 1.0
    """What the block multiplies it by before it is added to the stream."""


BLOCK_TAPS: Mapping[Point, Tap] = {
    "resid_pre": Tap("", "input"),
    "resid_post": Tap("", "output"),
}
"""Those that every block has."""


@dataclass(frozen=True)
class Call:
    """What a module of a block got and gave, None where that was no vector of each token."""

    path: str
    module: nn.Module
    got: Tensor | None
    gave: Tensor | None


@dataclass
class Calls:
    """The calls of one block's modules, in the order in which they ended."""

    shape: tuple[int, ...]
    """(B, T)"""
    found: list[Call] = field(default_factory=list)

    def hook(self, path: str) -> Callable[..., None]:
        """Notes a call; values are copied, for a block may add to them in place."""

        def note(module: nn.Module, args: Any, words: dict[str, Any], output: Any) -> None:
            got, gave = first_input(args, words), block_output(output)
            self.found.append(Call(path, module, self._copy(got), self._copy(gave)))

        return note

    def _copy(self, value: Any) -> Tensor | None:
        tokens = self.shape[0] * self.shape[1]
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            return None
        if value.dim() < 2 or value.numel() // max(1, value.shape[-1]) != tokens:
            return None
        return value.detach().reshape(*self.shape, value.shape[-1]).clone()


def first_input(args: Sequence[Any], words: Mapping[str, Any]) -> Any:
    """What a module reads: its first argument, else the hidden states by name."""
    return args[0] if args else words.get(HIDDEN, next(iter(words.values()), None))


@torch.inference_mode()
def find_taps(model: ResidualModel, ids: Tensor) -> list[dict[Point, Tap]]:
    """Run `ids` (T,) and look at every block: the points that it has, and where they are."""
    shape = (1, len(ids))
    seen = [Calls(shape) for _ in model.blocks]
    with ExitStack() as hooks:
        for block, calls in zip(model.blocks, seen, strict=True):
            for path, module in block.named_modules():
                handle = module.register_forward_hook(calls.hook(path), with_kwargs=True)
                hooks.callback(handle.remove)
        model.logits(ids[None])
    return [_taps_of(calls.found, CLOSE[model.dtype]) for calls in seen]


def missing_point(model: ResidualModel, site: Site, taps: Mapping[Point, Tap]) -> UsageError:
    """The refusal of a point that a block does not have."""
    known = [point for point in POINTS if point in taps]
    kind = model.model.config.model_type
    return UsageError(
        f"no hook point {site.point} in block {site.layer} of {kind}",
        hint=f"--hook takes some of {','.join(known)} here",
    )


def _taps_of(calls: list[Call], close: float) -> dict[Point, Tap]:
    block = calls.pop()
    assert not block.path
    taps = dict(BLOCK_TAPS)
    if block.got is None or block.gave is None or block.got.shape != block.gave.shape:
        return taps
    pair = _adding_up(calls, block.got, block.gave, close)
    if pair is None:
        return taps
    attention, mlp, scale = pair
    taps["attn_out"] = Tap(attention.path, "output", scale)
    taps["mlp_out"] = Tap(mlp.path, "output", scale)
    reader = _reading(calls, block.got, attention, scale)
    if reader is not None:
        taps["resid_mid"] = Tap(reader.path, "input")
    entry = _entry(calls, mlp, block.got.shape[-1])
    if entry is not None:
        taps["mlp_in"] = Tap(entry.path, "input")
    return {point: taps[point] for point in POINTS if point in taps}


def _adding_up(
    calls: list[Call], before: Tensor, after: Tensor, close: float
) -> tuple[Call, Call, float] | None:
    """The two calls whose outputs make `after` of `before` (B, T, D), the first of them first.

    Some families multiply both by one number, which comes last.
    """
    added = after.float() - before.float()
    rounding = torch.finfo(after.dtype).eps * _lengths(after)  # (B, T)
    allowed = close * _lengths(added) + rounding
    candidates = _distinct([call for call in calls if _has(call.gave, after)])
    best, error = None, 1.0
    for one, other in combinations(candidates, 2):
        assert one.gave is not None
        assert other.gave is not None
        if _beside(one, other) or not (one.gave.any() and other.gave.any()):
            continue
        parts = one.gave.float() + other.gave.float()
        scale = _scale(added, parts, close)
        share = float((_lengths(added - scale * parts) / allowed).median())
        if share < error:
            best, error = (one, other, scale), share
    return best


def _distinct(calls: list[Call]) -> list[Call]:
    """Of calls that gave the same values the outermost: a module, not the last layer inside it."""
    found: list[Call] = []
    for call in calls:
        same = [one for one in found if _equal(one.gave, call.gave)]
        if not same:
            found.append(call)
        elif call.path.count(".") < same[0].path.count("."):
            found[found.index(same[0])] = call
    return found


def _scale(added: Tensor, parts: Tensor, close: float) -> float:
    """The number that brings `parts` closest to `added`; 1 where they differ by rounding."""
    scale = float((added * parts).sum() / parts.square().sum())
    return 1.0 if abs(scale - 1) < close else scale


def _reading(calls: list[Call], before: Tensor, attention: Call, scale: float) -> Call | None:
    """The first call after `attention` that got the stream with what that gave, (B, T, D).

    What is small beside the stream is told from nothing: it must be nearer to that than to the
    stream `before`.
    """
    assert attention.gave is not None
    stream = before.float() + scale * attention.gave.float()
    for call in calls[calls.index(attention) + 1 :]:
        if _has(call.got, before):
            assert call.got is not None
            near = _lengths(call.got.float() - stream)  # (B, T)
            far = _lengths(call.got.float() - before.float())
            if bool((near < far / 2).float().median() == 1):
                return call
    return None


def _entry(calls: list[Call], mlp: Call, d_model: int) -> Call | None:
    """The module that reads what the MLP reads.

    That is `mlp`, or what leads to it: `mlp` may be a norm after the MLP, or the last of its layers
    where they lie in the block itself.
    """
    while _is_elementwise(mlp.module) or mlp.got is None or mlp.got.shape[-1] != d_model:
        before = [one for one in calls[: calls.index(mlp)] if _equal(one.gave, mlp.got)]
        if not before:
            return None
        mlp = min(before, key=lambda one: one.path.count("."))
    return mlp


def _is_elementwise(module: nn.Module) -> bool:
    """Norms, activations and dropout: no parameter of theirs is a matrix."""
    return all(parameter.dim() < 2 for parameter in module.parameters())


def _lengths(rows: Tensor) -> Tensor:
    """The norm of each row, (B, T, D) to (B, T); a median of them is blind to a few huge ones."""
    lengths: Tensor = torch.linalg.vector_norm(rows.float(), dim=-1)
    return lengths


def _beside(one: Call, other: Call) -> bool:
    """Whether two calls are of one part of the block, as experts that add up to its MLP are."""
    return one.path.partition(".")[0] == other.path.partition(".")[0]


def _has(value: Tensor | None, like: Tensor) -> bool:
    return value is not None and value.shape == like.shape


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)
