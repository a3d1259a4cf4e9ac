"""Reading and replacing what is at a site while the model runs.

Shapes: B batch, T tokens, D d_model.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from ghosttrack_cli.model.architectures import block_output
from ghosttrack_cli.model.hook_points import BLOCK_TAPS, HIDDEN, Tap, first_input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Size, Tensor, nn

    from ghosttrack_cli.site import Point

Change: TypeAlias = "Callable[[Tensor], Tensor]"


@contextmanager
def reading(
    block: nn.Module, tap: Tap, shape: Size, keep: Callable[[Tensor], None]
) -> Iterator[None]:
    """While open, `keep` gets what passes `tap`, (B, T, D) for ids of `shape` (B, T)."""

    def read(_module: object, args: Any, words: dict[str, Any], output: Any = None) -> None:
        value = first_input(args, words) if tap.side == "input" else block_output(output)
        # A block may add in place to what it gets, and to its parts; to its output nobody does.
        keep(value if tap == BLOCK_TAPS["resid_post"] else tap.scale * value.reshape(*shape, -1))

    with _hooked(block.get_submodule(tap.module), tap, read):
        yield


@contextmanager
def replacing(
    block: nn.Module, point: Point, taps: Mapping[Point, Tap], shape: Size, change: Change
) -> Iterator[None]:
    """While open, what is at `point` (B, T, D) is what `change` makes of it."""
    with ExitStack() as hooks:
        if point == "resid_mid":
            tap, change = taps["attn_out"], _onto_stream(hooks, block, change)
        else:
            tap = taps[point]
        module = block.get_submodule(tap.module)
        swap = _swap_input if tap.side == "input" else _swap_output
        hooks.enter_context(_hooked(module, tap, swap(shape, _scaled(change, tap.scale))))
        yield


def _onto_stream(hooks: ExitStack, block: nn.Module, change: Change) -> Change:
    """A change of the stream as a change of what attention adds to it: what the MLP adds to, too.

    The norm that reads `resid_mid` would only pass it on to the MLP.
    """
    before: list[Tensor] = []

    def note(_block: object, args: Any, words: dict[str, Any]) -> None:
        before[:] = [first_input(args, words)]

    hooks.enter_context(_hooked(block, Tap("", "input"), note))

    def changed(added: Tensor) -> Tensor:
        stream = before[0] + added
        return added + (change(stream).to(stream.dtype) - stream)

    return changed


def _scaled(change: Change, scale: float) -> Change:
    """A change of what is added to the stream, for what the block multiplies by `scale`."""
    return change if scale == 1 else lambda value: change(scale * value) / scale


def _swap_output(shape: Size, change: Change) -> Callable[..., Any]:
    def swap(_module: object, _args: object, _words: object, output: Any) -> Any:
        replaced = _changed(block_output(output), shape, change)
        return (
            type(output)((replaced, *output[1:])) if isinstance(output, tuple | list) else replaced
        )

    return swap


def _swap_input(shape: Size, change: Change) -> Callable[..., Any]:
    def swap(_module: object, args: Any, words: dict[str, Any]) -> Any:
        if args:
            return (_changed(args[0], shape, change), *args[1:]), words
        name = HIDDEN if HIDDEN in words else next(iter(words))
        return args, words | {name: _changed(words[name], shape, change)}

    return swap


def _changed(value: Tensor, shape: Size, change: Change) -> Tensor:
    changed: Tensor = change(value.reshape(*shape, -1))
    return changed.to(value.dtype).reshape(value.shape)


@contextmanager
def _hooked(module: nn.Module, tap: Tap, hook: Callable[..., Any]) -> Iterator[None]:
    if tap.side == "input":
        handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    else:
        handle = module.register_forward_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
