"""What a direction of the residual stream adds to the logits, by running the model's own head.

The stream after the last block is replaced by probes, and what the output projection gets and gives
is read. So the final norm is never guessed by its name: its scale is measured, and where a weight
of the model says the same, that weight is taken for its exact digits. The result is compared
with the head on other probes; where the two differ there is no lens.

Shapes: P probes, D d_model, V rows of the output projection.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.model.architectures import weight_of

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.model.residual import ResidualModel

BATCH, TOKENS = 5, 2
PATTERN = 16.0
"""Large, so that the epsilon of a norm does not show."""
SHIFT = 3.0
ROWS_AT_ONCE = 1 << 14
UNKNOWN = "cannot tell which tokens features promote"
CLOSE = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 3e-2}
MASKED = -1e4
"""Logits below are of tokens that the model never says."""


@dataclass(frozen=True)
class Lens:
    """The final norm's scale (D,), and the output projection (V, D) with that norm folded in."""

    scale: Tensor
    unembedding: Tensor


@dataclass(frozen=True)
class _Head:
    """What the head made of probes `x` (P, D).

    `given` (P, D) is what its projection `weight` (V, D) gets, `raw` (P, V) what that gives.
    """

    x: Tensor
    weight: Tensor
    given: Tensor
    raw: Tensor
    logits: Tensor


@torch.inference_mode()
def find_lens(model: ResidualModel) -> Lens:
    """The lens of `model`.

    Raises:
        ModelError: no single output projection, or more than a norm before it.
    """
    head = _run_head(model)
    lens = _normed(model, head)
    _check_lens(model, head, lens)
    return Lens(lens.scale, _without_unsaid(lens.unembedding, head.logits))


def no_lens(model: ResidualModel, why: str) -> ModelError:
    """The error of a model without a lens."""
    return ModelError(f"{UNKNOWN}: {model.model.config.model_type}: {why}")


def _probes(d_model: int) -> Tensor:
    """A pattern of mean 0, two random streams and one of them shifted, and all of them negated."""
    random = torch.Generator().manual_seed(0)
    pattern = torch.ones(d_model)
    pattern[1::2] = -1
    if d_model % 2:
        pattern[-1] = -2
        pattern[0] = pattern[2 % d_model] = 1.5
    first, second = torch.randn(2, d_model, generator=random)
    streams = torch.stack(
        [PATTERN * pattern, first, second + 1, first + SHIFT, second]
    )  # (P / 2, D)
    return torch.cat([streams, -streams])


def _run_head(model: ResidualModel) -> _Head:
    projection: Any = model.model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if not isinstance(projection, nn.Module) or not isinstance(
        getattr(projection, "weight", None), nn.Parameter
    ):
        raise no_lens(model, "it has no single output projection")
    x = _probes(model.d_model).to(model.device, model.dtype)
    first = model.project_out or projection  # OPT-350m's embedding is narrower than its stream
    got: list[Tensor] = []
    gave: list[Tensor] = []
    with ExitStack() as hooks:
        before = first.register_forward_pre_hook(lambda _, args: got.append(args[0].clone()))
        hooks.callback(before.remove)
        hook = projection.register_forward_hook(lambda _, __, out: gave.append(out.clone()))
        hooks.callback(hook.remove)
        logits = model.logits(
            model.some_ids(BATCH * TOKENS).view(BATCH, TOKENS),
            layer=model.n_layers - 1,
            replace=lambda _: x.view(BATCH, TOKENS, -1),
        )
    if [part.shape[:2] for part in (*got, *gave)] != [(BATCH, TOKENS)] * 2:
        raise no_lens(model, "its output projection is not run once for each token")
    given, raw = (part[0].reshape(len(x), -1).float() for part in (got, gave))
    if given.shape != x.shape:
        raise no_lens(model, "its output projection has another width than its residual stream")
    weight = weight_of(projection)
    if model.project_out is not None:
        weight = weight @ weight_of(model.project_out)
    return _Head(x.float(), weight, given, raw, logits.reshape(len(x), -1).float())


def _odd(values: Tensor) -> Tensor:
    """Half the difference between probes and their negatives, free of biases, (P / 2, ...)."""
    positive, negative = values.chunk(2)
    return (positive - negative) / 2


def _normed(model: ResidualModel, head: _Head) -> Lens:
    given, x = _odd(head.given), _odd(head.x)
    measured = given[0] / x[0] * x[0].square().mean().sqrt()  # (D,)
    if torch.allclose(given[0], x[0], rtol=CLOSE[model.dtype]):
        measured = torch.ones_like(measured)  # no norm
    scale = _exact(model, measured).to(head.weight)
    folded = head.weight * scale  # (V, D)
    # The mean is subtracted where a constant on the whole stream changes nothing.
    unmoved = (given[1] - given[3]).norm() < CLOSE[model.dtype] * given[1].norm()
    return Lens(scale, folded - folded.mean(dim=-1, keepdim=True) if unmoved else folded)


def _exact(model: ResidualModel, measured: Tensor) -> Tensor:
    """The weight w of a norm with `measured` = w or 1 + w, up to a factor, else `measured`."""
    best, error = measured, CLOSE[model.dtype]
    inside = {id(parameter) for parameter in model.blocks.parameters()}
    for parameter in model.model.parameters():
        if parameter.shape != measured.shape or id(parameter) in inside:
            continue
        for candidate in (parameter.detach(), 1 + parameter.detach()):
            wide = candidate.float()
            factor = (measured @ wide) / (wide @ wide)
            distance = float((measured - factor * wide).norm() / measured.norm())
            if distance < error and factor > 0:
                best, error = candidate, distance
    return best


def _check_lens(model: ResidualModel, head: _Head, lens: Lens) -> None:
    """Compare `lens` with the head on all probes, and look whether the logits keep its order."""
    if not bool(torch.isfinite(head.raw).all()):
        raise no_lens(model, "its head gives values that are not finite")
    raw, x = _odd(head.raw), _odd(head.x)
    V = len(lens.unembedding)
    blocks = (lens.unembedding[row : row + ROWS_AT_ONCE] for row in range(0, V, ROWS_AT_ONCE))
    parts = [x @ rows.float().T for rows in blocks]
    expected = torch.cat(parts, dim=-1)  # (P / 2, V)
    cosine = cosine_similarity(_centred(raw), _centred(expected), dim=-1)
    if not bool((cosine > 1 - CLOSE[model.dtype]).all()):
        raise no_lens(model, "there is more than a norm between its last block and its logits")
    width = min(head.raw.shape[-1], head.logits.shape[-1])
    for before, after in zip(head.raw[:, :width], head.logits[:, :width], strict=True):
        said = after > MASKED
        ordered = after[said][before[said].argsort()]
        fall = (ordered[:-1] - ordered[1:]).max() if len(ordered) > 1 else ordered.new_zeros(())
        if fall > CLOSE[model.dtype] * ordered.std():
            raise no_lens(model, "its logits are not in the order of its output projection")


def _without_unsaid(unembedding: Tensor, logits: Tensor) -> Tensor:
    """Rows of tokens that the model never says (images, padding): cut off, or without effect."""
    rows = unembedding[: logits.shape[-1]]
    unsaid = (logits <= MASKED).all(dim=0)[: len(rows)]
    if not bool(unsaid.any()):
        return rows
    return torch.where(unsaid[:, None], rows[~unsaid].mean(dim=0), rows)


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(dim=-1, keepdim=True)
